"""How fast a file may go: while the detector is behind, a load waits, so that live events are not stuck behind it."""

import asyncio
import json
import logging
import re
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from services.ingest import metrics
from services.ingest.settings import FileSettings

log = logging.getLogger(__name__)

_ASK_SECONDS: Final = 2.0
_LOOK_EVERY_SECONDS: Final = 0.25
_METRICS_BYTES_MAX: Final = 4_000_000
_LAG_RECORDS_LEAST: Final = 20_000  # below this a lag is noise, whatever the rate
_LAG = re.compile(rb"^kairos_detector_lag_records(?:\{[^}]*\})? ([0-9.eE+-]+)", re.MULTILINE)
_APPLIED = re.compile(rb"^kairos_detector_events_total(?:\{[^}]*\})? ([0-9.eE+-]+)", re.MULTILINE)


class Pacer:
    """Waits while the detector's lag is over the bound; without a detector to ask, keeps to a safe rate."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._urls = detector_urls(settings)
        self._looked_at = 0.0
        self._applied: tuple[float, float] | None = None
        self._rate = 0.0
        self._lag: float | None = None
        self._budget_from = time.monotonic()
        self._sent = 0
        self.warning = ""

    async def wait(
        self,
        events: int,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        tell: Callable[[], None] = lambda: None,
    ) -> bool:
        """Wait until so many further events may go, or the load is to end; returns whether it had to.

        tell: called again and again while the detector is behind.
        """
        started = time.monotonic()
        if started - self._looked_at >= _LOOK_EVERY_SECONDS:
            await self._look()
        if self._lag is None:
            return await self._keep_rate(events)
        waited = False
        while self._lag is not None and self._lag > self._bound() and not is_stopping():
            waited = True
            tell()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            await self._look()
        if waited:
            metrics.FILE_PAUSED_SECONDS.inc(time.monotonic() - started)
        return waited

    def _bound(self) -> float:
        """Records that the detector applies within the allowed lag, as measured."""
        by_rate = self._settings.lag_seconds_max * self._rate
        return min(max(by_rate, _LAG_RECORDS_LEAST), self._settings.lag_records_max)

    async def _look(self) -> None:
        self._looked_at = time.monotonic()
        pages = await asyncio.gather(*(asyncio.to_thread(_page, url) for url in self._urls))
        found = [page for page in pages if page is not None]
        if not found:
            self._lag = None
            if not self.warning:
                self.warning = (
                    "no detector can be asked for its lag; the load keeps to "
                    f"{self._settings.unpaced_events_per_second} events/s (KAIROS_INGEST_UNPACED_EVENTS_PER_SECOND)"
                )
                log.warning("ingest.file.unpaced", extra={"urls": list(self._urls)})
            return
        self._lag = sum(sum(map(float, _LAG.findall(page))) for page in found)
        applied, now = sum(sum(map(float, _APPLIED.findall(page))) for page in found), time.monotonic()
        if self._applied is not None and now > self._applied[1]:
            rate = (applied - self._applied[0]) / (now - self._applied[1])
            self._rate = max(rate, 0.8 * self._rate)  # an idle detector is not a slow one
        self._applied = (applied, now)

    async def _keep_rate(self, events: int) -> bool:
        rate = self._settings.unpaced_events_per_second
        self._sent += events
        early = self._budget_from + self._sent / rate - time.monotonic()
        if early < -1.0:  # no saving up for bursts
            self._budget_from, self._sent = time.monotonic(), 0
        if early <= 0:
            return False
        await asyncio.sleep(early)
        return True


class NoPacer(Pacer):
    """Goes as fast as it can: for empty systems and measurements."""

    async def wait(
        self,
        events: int,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        tell: Callable[[], None] = lambda: None,
    ) -> bool:
        return False


def detector_urls(settings: FileSettings) -> Sequence[str]:
    """Return the metrics addresses of all detectors, by setting or by the local stack's endpoints."""
    if settings.lag_metrics_url:
        return tuple(_metrics_url(url.strip()) for url in settings.lag_metrics_url.split(","))
    known = read_endpoints(settings.var_dir).get("metrics")
    if not isinstance(known, dict):
        return ()
    urls: list[str] = []
    for name, url in known.items():
        if name.startswith("detector"):
            urls += [url] if isinstance(url, str) else list(url)
    return tuple(_metrics_url(url) for url in urls)


def read_endpoints(var_dir: Path) -> dict[str, object]:
    """Return var/endpoints.json, empty when there is no local stack."""
    try:
        document = json.loads((var_dir / "endpoints.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _metrics_url(url: str) -> str:
    return url if url.rstrip("/").endswith("/metrics") else f"{url.rstrip('/')}/metrics"


def _page(url: str) -> bytes | None:
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            page: bytes = answer.read(_METRICS_BYTES_MAX)
            return page
    except (OSError, ValueError):
        return None

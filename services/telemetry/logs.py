"""JSON lines on stderr: a constant dotted event name and fields. No personal data, ever."""

import json
import logging
import re
import sys
import time
from types import TracebackType
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# PostgreSQL adds lines that quote rows, parameters and statements; they may run over line ends of the text they quote.
_QUOTING = re.compile(r"[\s|]*(DETAIL|CONTEXT|HINT|QUERY|STATEMENT|WHERE|LINE \d+):")
_NEXT_ERROR = re.compile(
    r"[\s|]*(The above exception was the direct cause|During handling of the above|Traceback \(most recent|\+-+)"
)
_QUOTED_VALUE = re.compile(r'(\bvalue |: )"[^"]*"')


class JsonLines(logging.Formatter):
    """One JSON object a record: at, level, service, event, then the fields of `extra`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=str)

    def formatException(  # noqa: N802  # name given by the base class
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The traceback without what a database quotes: rows hold customer ids and what people wrote."""
        return without_rows(super().formatException(ei))


def without_rows(traceback: str) -> str:
    """Cut PostgreSQL's quotations out of a traceback, up to the next error's."""
    kept: list[str] = []
    is_quoting = False
    for line in traceback.splitlines():
        is_quoting = not _NEXT_ERROR.match(line) and (is_quoting or _QUOTING.match(line) is not None)
        if not is_quoting:
            kept.append(_QUOTED_VALUE.sub(r'\1"..."', line) if line.lstrip(" |").startswith("psycopg.") else line)
    return "\n".join(kept)


def configure(service: str, *, level: str = "INFO") -> None:
    """Send all logs of this process to stderr as JSON lines; foreign libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("services").setLevel(level)
    logging.captureWarnings(True)

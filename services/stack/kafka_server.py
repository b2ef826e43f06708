"""A real Apache Kafka on loopback: one JVM, broker and controller in one (KRaft), with its data in a folder.

Owns fetching the jars once, formatting, start, readiness by a metadata request, clean stop. Topics are
services.transport.kafka_admin's.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from string import Template

from services.stack.process import GuardedProcess, ProcessFailed, ProcessSpec
from services.transport import kafka_admin

FOLDER = Path(__file__).with_name("kafka")
POM = FOLDER / "pom.xml"
READY_SECONDS = 60.0
FORMAT_SECONDS = 60.0
FETCH_SECONDS = 900.0
HEAP = "-Xmx512m"
MARKER = "complete"


class KafkaMissing(Exception):
    """Java or Maven is missing, or the jars could not be fetched; the message says what to do."""


class KafkaServer:
    """One broker over one data folder. start() may be called again after it ended."""

    def __init__(
        self,
        home: Path,
        *,
        libs: Path,
        port: int,
        controller_port: int,
        log: Path,
        stop_seconds: float = 20.0,
        linger_seconds: float = 0.0,
    ) -> None:
        """home: folder of data and rendered configuration. libs: from fetch_jars()."""
        self.home = home.resolve()
        self.port = port
        self.controller_port = controller_port
        self._libs = libs
        self.log = log
        self._stop_seconds = stop_seconds
        self._linger_seconds = linger_seconds
        self.process: GuardedProcess | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        return "kafka"

    @property
    def may_finish(self) -> bool:
        return False

    @property
    def ready_seconds(self) -> float:
        return READY_SECONDS

    @property
    def data(self) -> Path:
        return self.home / "data"

    def start(self, *, inherit: Sequence[int] = ()) -> GuardedProcess:
        """Format once, then start and return without waiting for readiness."""
        properties = self._render(self.data)
        self._format()
        spec = ProcessSpec(
            name="kafka",
            argv=[*self._java(), "-Xms256m", HEAP, "-XX:MaxGCPauseMillis=20", "kafka.Kafka", str(properties)],
            log=self.log,
            stop_seconds=self._stop_seconds,
            linger_seconds=self._linger_seconds,
        )
        self.process = GuardedProcess(spec, inherit=inherit)
        return self.process

    def is_ready(self) -> bool:
        """True when the broker answers a metadata request with itself as a member."""
        return kafka_admin.answers(self.bootstrap, seconds=2.0)

    def not_ready(self) -> str | None:
        """None when is_ready(), else why not."""
        return None if self.is_ready() else "no broker answers"

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when metadata requests are answered; raises ProcessFailed when it ends or the time is over."""
        assert self.process is not None, "start() comes first"
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None:
                raise ProcessFailed("kafka", "ended while starting", self.log)
            if time.monotonic() >= deadline:
                raise ProcessFailed("kafka", f"not ready after {seconds:.0f} s", self.log)
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it if it runs; the data stays."""
        if self.process is not None:
            self.process.stop()

    def _render(self, data: Path) -> Path:
        self.home.mkdir(parents=True, exist_ok=True)
        text = Template((FOLDER / "server.properties").read_text(encoding="utf-8")).substitute(
            port=self.port, controller_port=self.controller_port, data=data
        )
        path = self.home / ("server.properties" if data == self.data else "format.properties")
        path.write_text(text, encoding="utf-8")
        return path

    def _format(self) -> None:
        """Make the data folder, whole or not at all: it is formatted beside and a rename makes it count."""
        if (self.data / "meta.properties").exists():
            return
        scratch = Path(tempfile.mkdtemp(prefix="format-", dir=self.home))
        try:
            properties = self._render(scratch / "data")
            argv = [*self._java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
            argv += ["kafka.tools.StorageTool", "format", "-t", cluster_id(uuid.uuid4().bytes), "-c", str(properties)]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)
            if done.returncode != 0:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                self.log.write_text(done.stdout + done.stderr, encoding="utf-8")
                raise ProcessFailed("kafka", "the data folder could not be formatted", self.log)
            (scratch / "data").rename(self.data)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _java(self) -> list[str]:
        return [
            java(),
            "-cp",
            f"{self._libs}/*",
            f"-Dlog4j2.configurationFile={FOLDER / 'log4j2.properties'}",
            "-Djava.awt.headless=true",
        ]


def java() -> str:
    """The Java program: of JAVA_HOME, else of the path; raises KafkaMissing when there is none."""
    home = os.environ.get("JAVA_HOME", "")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None or not Path(found).exists():
        raise KafkaMissing("Java 17 is needed: apt-get install openjdk-17-jre-headless, or set JAVA_HOME")
    return found


def kafka_version() -> str:
    """The version in the committed pom."""
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")  # noqa: S314  # our own file
    assert version is not None, "pom.xml names kafka.version"
    return version


def jars_folder(var: Path) -> Path:
    """Where the jars of this version are, or will be, under `var`."""
    return var.resolve() / f"kafka-{kafka_version()}" / "libs"


def has_jars(var: Path) -> bool:
    """True when the jars were fetched completely and for this very pom."""
    marker = jars_folder(var) / MARKER
    return marker.exists() and marker.read_text(encoding="utf-8") == POM.read_text(encoding="utf-8")


def fetch_jars(var: Path) -> Path:
    """Fetch the jars with Maven unless they are there, and return their folder. Safe to call from several processes."""
    libs = jars_folder(var)
    if has_jars(var):
        return libs
    libs.parent.mkdir(parents=True, exist_ok=True)
    with open(libs.parent / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not has_jars(var):
            _fetch(libs)
    return libs


def _fetch(libs: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing("Maven is needed once, to fetch Kafka: apt-get install maven")
    scratch = Path(tempfile.mkdtemp(prefix="fetch-", dir=libs.parent))
    try:
        argv = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={scratch}"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        if done.returncode != 0 or not any(scratch.glob("kafka_*.jar")):
            raise KafkaMissing(f"Maven could not fetch Kafka; run it by hand to see why:\n  {chr(32).join(argv)}")
        (scratch / MARKER).write_text(POM.read_text(encoding="utf-8"), encoding="utf-8")
        shutil.rmtree(libs, ignore_errors=True)
        scratch.chmod(0o755)
        scratch.rename(libs)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def cluster_id(unique: bytes) -> str:
    """A cluster's id in Kafka's form, from 16 bytes; never with a leading dash, which would make it an option."""
    text = base64.urlsafe_b64encode(unique).rstrip(b"=").decode("ascii")
    return "A" + text[1:] if text.startswith("-") else text

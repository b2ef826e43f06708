"""Signed tokens: who calls and in which role. JWT with HS256, at most 12 hours, always by the real clock.

Owns minting and checking. Which role may call what is each service's own table. A token is never logged.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import jwt

Role = Literal["manager", "router", "admin", "sre", "ingest"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
KEY_FILE: Final = "token_signing_key"
KEY_BYTES: Final = 32
LIFETIME_HOURS_MAX: Final = 12.0
SUBJECT_LENGTH_MAX: Final = 64
_TOKEN_LENGTH_MAX: Final = 4096
_LEEWAY_SECONDS: Final = 30  # clocks of two machines may differ by so much
_ALGORITHM: Final = "HS256"

TokenFault = Literal["TOKEN_MISSING", "TOKEN_EXPIRED", "TOKEN_INVALID"]


class TokenRefused(Exception):
    """The caller cannot be told or is not who they claim to be; answer UNAUTHENTICATED, never retry this token."""

    def __init__(self, reason: TokenFault) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyRefused(ValueError):
    """The signing key cannot be read or is not 32 bytes as hex text; the process must not start."""


@dataclass(frozen=True)
class Principal:
    """Whom a token names: subject (a manager's id for role manager), role, and when it ends (real UTC milliseconds)."""

    subject: str
    role: Role
    expires_at_ms: int


def read_key(secrets_dir: Path) -> bytes:
    """The signing key of a secrets folder. Raises KeyRefused."""
    path = secrets_dir / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as exc:
        raise KeyRefused(f"{path}: want {KEY_BYTES} bytes as hex text") from exc
    if len(key) != KEY_BYTES:
        raise KeyRefused(f"{path}: want {KEY_BYTES} bytes as hex text, got {len(key)} bytes")
    return key


def mint(key: bytes, *, subject: str, role: Role, hours: float = 8.0, now_ms: int | None = None) -> str:
    """A token for `subject` in `role` that ends after `hours` (at most 12); now_ms: real clock, for tests."""
    if role not in ROLES:
        raise ValueError(f"role wants one of {', '.join(ROLES)}, got {role!r}")
    if not 0 < len(subject) <= SUBJECT_LENGTH_MAX:
        raise ValueError(f"subject wants 1..{SUBJECT_LENGTH_MAX} characters")
    if not 0 < hours <= LIFETIME_HOURS_MAX:
        raise ValueError(f"hours wants 0 < hours <= {LIFETIME_HOURS_MAX:g}, got {hours:g}")
    issued = _real_seconds(now_ms)
    claims = {"sub": subject, "role": role, "iat": int(issued), "exp": int(issued + hours * 3600)}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def verify(key: bytes, token: str | None, *, now_ms: int | None = None) -> Principal:
    """Whom the token names. Raises TokenRefused when it is missing, forged, malformed, too long-lived or expired."""
    if not token:
        raise TokenRefused("TOKEN_MISSING")
    if len(token) > _TOKEN_LENGTH_MAX:
        raise TokenRefused("TOKEN_INVALID")
    options = {"require": ["sub", "exp", "iat"], "verify_exp": False, "verify_iat": False}  # by our own clock, below
    try:
        claims = jwt.decode(token, key, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
    except jwt.PyJWTError as exc:
        raise TokenRefused("TOKEN_INVALID") from exc
    subject, role, issued, expires = (claims.get(name) for name in ("sub", "role", "iat", "exp"))
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH_MAX or role not in ROLES:
        raise TokenRefused("TOKEN_INVALID")
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise TokenRefused("TOKEN_INVALID")
    now = _real_seconds(now_ms)
    if expires - issued > LIFETIME_HOURS_MAX * 3600 or issued > now + _LEEWAY_SECONDS:
        raise TokenRefused("TOKEN_INVALID")
    if now >= expires:
        raise TokenRefused("TOKEN_EXPIRED")
    return Principal(subject, role, expires * 1000)


class TokenSource:
    """Mints short tokens for one subject and renews them before they end; for services that call others."""

    def __init__(self, key: bytes, *, subject: str, role: Role, hours: float = 1.0) -> None:
        self._key = key
        self._subject = subject
        self._role: Role = role
        self._hours = hours
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        now = time.time()
        if now >= self._renew_at:
            self._token = mint(self._key, subject=self._subject, role=self._role, hours=self._hours)
            self._renew_at = now + self._hours * 3600 * 0.8
        return self._token


def _real_seconds(now_ms: int | None) -> float:
    return time.time() if now_ms is None else now_ms / 1000

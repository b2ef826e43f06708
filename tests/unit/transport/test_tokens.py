"""Tokens name one subject and role, for at most 12 hours, and nothing else passes."""

from pathlib import Path

import jwt
import pytest

from services.transport.tokens import KEY_FILE, KeyRefused, TokenRefused, TokenSource, mint, read_key, verify

KEY = bytes(range(32))
NOW_MS = 1_788_745_800_000


def _fault(token: str | None, *, now_ms: int = NOW_MS, key: bytes = KEY) -> str:
    with pytest.raises(TokenRefused) as refused:
        verify(key, token, now_ms=now_ms)
    return refused.value.reason


def test_a_minted_token_names_its_subject_and_role() -> None:
    token = mint(KEY, subject="m-NJ-01", role="manager", hours=8, now_ms=NOW_MS)
    principal = verify(KEY, token, now_ms=NOW_MS + 1)
    assert (principal.subject, principal.role) == ("m-NJ-01", "manager")
    assert principal.expires_at_ms == NOW_MS + 8 * 3_600_000


def test_a_token_ends_when_it_says() -> None:
    token = mint(KEY, subject="m-NJ-01", role="manager", hours=1, now_ms=NOW_MS)
    assert verify(KEY, token, now_ms=NOW_MS + 3_599_000).subject == "m-NJ-01"
    assert _fault(token, now_ms=NOW_MS + 3_600_000) == "TOKEN_EXPIRED"


def test_a_missing_token_is_told_from_a_wrong_one() -> None:
    assert _fault(None) == "TOKEN_MISSING"
    assert _fault("") == "TOKEN_MISSING"
    assert _fault("nonsense") == "TOKEN_INVALID"
    assert _fault("x" * 5000) == "TOKEN_INVALID"


def test_a_token_of_another_key_is_forged() -> None:
    assert _fault(mint(bytes(32), subject="m", role="admin", now_ms=NOW_MS)) == "TOKEN_INVALID"


def test_an_unsigned_token_is_refused() -> None:
    claims = {"sub": "m", "role": "admin", "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 60}
    assert _fault(jwt.encode(claims, None, algorithm="none")) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        {"role": "root"},
        {"role": None},
        {"sub": ""},
        {"sub": "x" * 65},
        {"exp": NOW_MS // 1000 + 13 * 3600},
        {"iat": NOW_MS // 1000 + 3600, "exp": NOW_MS // 1000 + 7200},
        {"exp": "soon"},
    ],
)
def test_claims_beyond_the_rules_are_refused(change: dict[str, object]) -> None:
    claims = {"sub": "m", "role": "manager", "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 60} | change
    assert _fault(jwt.encode(claims, KEY, algorithm="HS256")) == "TOKEN_INVALID"


@pytest.mark.parametrize("absent", ["sub", "role", "iat", "exp"])
def test_every_claim_is_required(absent: str) -> None:
    claims: dict[str, object] = {"sub": "m", "role": "manager", "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 60}
    del claims[absent]
    assert _fault(jwt.encode(claims, KEY, algorithm="HS256")) == "TOKEN_INVALID"


@pytest.mark.parametrize(("subject", "hours"), [("", 1.0), ("x" * 65, 1.0), ("m", 0.0), ("m", 12.5)])
def test_what_would_be_refused_is_not_minted(subject: str, hours: float) -> None:
    with pytest.raises(ValueError, match=r"subject|hours"):
        mint(KEY, subject=subject, role="manager", hours=hours)


def test_the_key_file_must_hold_32_bytes_as_hex(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text(KEY.hex() + "\n")
    assert read_key(tmp_path) == KEY
    for text in ("", "zz", "00" * 31):
        (tmp_path / KEY_FILE).write_text(text)
        with pytest.raises(KeyRefused):
            read_key(tmp_path)
    with pytest.raises(KeyRefused):
        read_key(tmp_path / "nowhere")


def test_a_source_keeps_its_token_while_it_is_fresh() -> None:
    source = TokenSource(KEY, subject="router", role="router")
    assert source() == source()
    assert verify(KEY, source()).role == "router"

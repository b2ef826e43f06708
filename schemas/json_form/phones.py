"""Chinese mobile numbers: normalised, then turned into a keyed token and a masked form. The number goes no further."""

import hashlib
import hmac
import re
from typing import NamedTuple

_SEPARATORS = re.compile(r"[\s\-().\u2010-\u2015\uff0d]+")
_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})", re.ASCII)
_TOKEN_HEX_DIGITS = 32  # 128 bits: no collision among all numbers there are


class PhoneForms(NamedTuple):
    """What is kept of a number."""

    token: str
    masked: str


def normalise_mobile(text: str) -> str | None:
    """Return the 11 digits of a mobile number, or None when the text is none."""
    found = _MOBILE.fullmatch(_SEPARATORS.sub("", text))
    return found.group(1) if found else None


def phone_forms(number: str, *, key: bytes) -> PhoneForms:
    """Return token and mask of a normalised number. The same number gives the same token under the same key."""
    digest = hmac.new(key, number.encode("ascii"), hashlib.sha256).hexdigest()
    return PhoneForms(token=digest[:_TOKEN_HEX_DIGITS], masked=f"{number[:3]}****{number[7:]}")


def keyed_id(text: str, *, key: bytes) -> int:
    """Return the 63-bit positive id that stands for a foreign text id or number under a key (HMAC-SHA-256)."""
    digest = hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") & (2**63 - 1)) or 1

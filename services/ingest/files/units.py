"""Units of foreign files → units of the contract, exactly: decimal arithmetic, halves away from zero."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

FACTORS: Mapping[str, Decimal] = {
    # to fen
    "fen": Decimal(1),
    "jiao": Decimal(10),
    "yuan": Decimal(100),
    # to KiB
    "bytes": Decimal(1) / Decimal(1024),
    "kib": Decimal(1),
    "mb": Decimal(1024),
    "mib": Decimal(1024),
    "gb": Decimal(1024 * 1024),
    "gib": Decimal(1024 * 1024),
    # to seconds
    "milliseconds": Decimal("0.001"),
    "seconds": Decimal(1),
    "minutes": Decimal(60),
    "hours": Decimal(3600),
    # to messages
    "messages": Decimal(1),
}
"""By the word of the mapping file; mb and gb are the binary ones, as operators bill."""
_LONGEST = 32


def converted(value: Any, factor: Decimal) -> int | None:
    """Return the value times the factor as a whole number, None when the value is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    text = str(value).strip()
    if len(text) > _LONGEST:
        return None
    try:
        number = Decimal(text) * factor
        return int(number.to_integral_value(rounding=ROUND_HALF_UP)) if abs(number) < Decimal(10) ** 19 else None
    except (ArithmeticError, ValueError):
        return None

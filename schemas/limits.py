"""Limits of the event fields: ranges, lengths, forms and closed lists of words that Avro types cannot say.

Owns numbers and patterns; what is answered when one is broken is in `schemas.reasons`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

INT63_MAX = 2**63 - 1
TEXT_BYTES_MAX = 8_192
"""No text of an event is longer than this in UTF-8, whatever the field."""
EVENT_BYTES_MAX = 262_144
"""No event is larger than this in its JSON form."""
NESTING_MAX = 8
"""Objects and lists inside one another; the events themselves need two."""
BATCH_EVENTS_MAX = 10_000
"""Events of one request."""
EARLIEST_MS = 946_684_800_000
"""2000-01-01T00:00:00Z; no event is older."""
CYCLE_AHEAD_MONTHS = 1
"""A bill run is about months that have passed, or the running one; some bill the next in advance. A later cycle is an
error, and would make all bills of the past old."""
FUTURE_TOLERANCE_MS = 300_000
"""How far occurred_at may be ahead of the business clock at the live doors."""


@dataclass(frozen=True)
class Limit:
    """What a value must keep to, by its type.

    least, most: integers. length_least, length_most: characters of a text, or of each item. pattern: the whole text, or
    each item. items_most: a list or map.
    """

    least: int = -(2**63)
    most: int = INT63_MAX
    length_least: int = 1
    length_most: int = 256
    pattern: str = ""
    items_most: int = 64


_MONEY = Limit(least=-(10**12), most=10**12)
_MONEY_NOT_NEGATIVE = Limit(least=0, most=10**12)
_AMOUNT = Limit(least=0, most=10**12)
_ID = Limit(length_most=64)
_COUNTRY = Limit(length_least=2, length_most=2, pattern=r"[A-Z]{2}")

LIMITS: Mapping[tuple[str, str], Limit] = {
    # Common to all kinds.
    ("", "event_id"): _ID,
    ("", "customer_id"): Limit(least=1),
    ("", "source"): Limit(length_most=32, pattern=r"[a-z0-9-]{1,32}"),
    ("", "area"): _ID,
    ("", "occurred_at"): Limit(least=EARLIEST_MS),
    # By kind.
    ("balance", "balance_fen"): _MONEY,
    ("balance", "change_fen"): _MONEY,
    ("usage", "quantity"): _AMOUNT,
    ("usage", "charge_fen"): _MONEY_NOT_NEGATIVE,
    ("usage", "out_of_bundle_fen"): _MONEY_NOT_NEGATIVE,
    ("usage", "counterpart_key"): Limit(least=0),
    ("handset-change", "device_model"): Limit(length_most=128),
    ("handset-change", "device_tac"): Limit(length_least=8, length_most=8, pattern=r"[0-9]{8}"),
    ("handset-change", "previous_device_model"): Limit(length_most=128),
    ("handset-change", "capabilities"): Limit(length_most=16, items_most=16),
    ("complaint", "complaint_id"): _ID,
    ("bill", "cycle"): Limit(length_least=7, length_most=7, pattern=r"20[0-9]{2}-(0[1-9]|1[0-2])"),
    ("bill", "total_fen"): _MONEY,
    ("bill", "plan_fee_fen"): _MONEY,
    ("bill", "out_of_bundle_fen"): _MONEY,
    ("bill", "make_up_fen"): _MONEY,
    ("bill", "roaming_fen"): _MONEY,
    ("service-order", "order_id"): _ID,
    ("service-order", "product"): _ID,
    ("roaming", "country"): _COUNTRY,
    ("roaming", "time_zone"): _ID,
    ("inquiry", "inquiry_id"): _ID,
    ("line-status", "suspension_expected_at"): Limit(least=EARLIEST_MS),
    ("customer", "city"): Limit(length_most=8),
    ("customer", "segment"): Limit(length_most=16),
    ("customer", "brand"): _ID,
    ("customer", "plan_id"): _ID,
    ("customer", "plan_fee_fen"): _MONEY_NOT_NEGATIVE,
    ("customer", "plan_voice_seconds"): _AMOUNT,
    ("customer", "plan_data_kib"): _AMOUNT,
    ("customer", "plan_sms"): _AMOUNT,
    ("customer", "plan_capabilities"): Limit(length_most=16, items_most=16),
    ("customer", "active_categories"): Limit(length_most=16, items_most=16),
    ("customer", "birthday"): Limit(
        length_least=5, length_most=10, pattern=r"([0-9]{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    ),
    ("customer", "arpu_fen"): _MONEY_NOT_NEGATIVE,
    ("customer", "owner_manager_id"): Limit(length_most=64, pattern=r"[A-Za-z0-9._-]{1,64}"),
    ("customer", "deputy_manager_id"): Limit(length_most=64, pattern=r"[A-Za-z0-9._-]{1,64}"),
    ("customer", "agreed_channels"): Limit(length_most=16, items_most=8),
    ("customer", "quiet_windows"): Limit(
        length_least=11,
        length_most=11,
        items_most=8,
        pattern=r"([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)",
    ),
    ("customer", "refused_groups"): Limit(length_most=16, items_most=8),
    ("customer", "attributes"): Limit(length_most=256, items_most=64),
    ("customer", "phone"): Limit(length_least=5, length_most=32),
}
"""By kind and field; kind "" holds for every kind that has no entry of its own."""

_CAPABILITIES = ("2G", "3G", "4G", "5G", "VOLTE", "ESIM", "DUAL_SIM")
_CHANNELS = ("CALL", "SMS", "APP", "SHOP", "HOTLINE")
_CATEGORIES = ("VOICE_PLAN", "DATA_PACK", "BROADBAND", "ROAMING", "TV", "MUSIC", "SECURITY", "OTHER")

WORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("handset-change", "capabilities"): _CAPABILITIES,
    ("customer", "plan_capabilities"): _CAPABILITIES,
    ("customer", "active_categories"): _CATEGORIES,
    ("customer", "preferred_channel"): _CHANNELS,
    ("customer", "agreed_channels"): _CHANNELS,
    ("customer", "refused_groups"): ("service", "care", "commercial"),
}
"""Closed lists of fields that are text, or lists of text, in the Avro form."""

OWN_FIELDS: Mapping[tuple[str, str], str] = {
    ("customer", "phone"): "The number in clear, live doors only: normalised, then kept as keyed token and masked.",
}
"""Fields of the JSON form that the Avro form does not have, by kind and name."""

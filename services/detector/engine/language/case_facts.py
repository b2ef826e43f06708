"""What rules can ask of orders, inquiries, roaming, and of the event of such a kind that they are judged at."""

from collections.abc import Callable, Mapping
from typing import Any

from services.detector.engine.customer.case_layout import INQUIRY_DAYS, ORDER_DAYS
from services.detector.engine.language.expressions import Typed
from services.detector.engine.language.fact_forms import (
    CASE_COUNTRY,
    CASE_INQUIRY,
    CASE_ORDER,
    OF_USAGE,
    Aggregate,
    BadFeature,
    Fact,
    enum,
    integer,
    number,
    only,
    text,
    truth,
    word,
)
from services.detector.engine.log_format import wire

_ACTIONS = wire.SYMBOLS[wire.ORDER]["action"]
_CATEGORIES = wire.SYMBOLS[wire.ORDER]["category"]
_TOPICS = wire.SYMBOLS[wire.INQUIRY]["topic"]
_CHANNELS = wire.SYMBOLS[wire.INQUIRY]["channel"]
_SERVICES = wire.SYMBOLS[wire.INQUIRY]["service"]
_INQUIRY_STATES = wire.SYMBOLS[wire.INQUIRY]["state"]
_ROAMING_STATES = wire.SYMBOLS[wire.ROAMING]["state"]
_CATEGORY = "pool[case, ORDER_BITS] >> 3 & 15"

CASE_FACTS: Mapping[str, Fact] = {
    "order_action": enum("pool[case, ORDER_BITS] & 7", _ACTIONS, "what the order does", CASE_ORDER),
    "order_category": enum(_CATEGORY, _CATEGORIES, "kind of service", CASE_ORDER),
    "order_category_number": number(_CATEGORY, "", "the same as a number that can be kept", CASE_ORDER),
    "order_addon": truth("pool[case, ORDER_BITS] >> 8 & 1 != 0", "an add-on to a plan", CASE_ORDER),
    "order_bundled": truth("pool[case, ORDER_BITS] >> 9 & 1 != 0", "it came with a bundle", CASE_ORDER),
    "order_core": truth("pool[case, ORDER_BITS] >> 10 & 1 != 0", "a core add-on", CASE_ORDER),
    "order_at": number("get64(pool, case, ORDER_AT)", "ms", "when it was ordered", CASE_ORDER),
    "order_unseen_days": number("pool[case, ORDER_UNSEEN]", "days",
                                "local days since its category was last active before it; 100000 = never", CASE_ORDER),
    "order_tenure_days": number("tenure_at(st, s, pool, case)", "days",
                                "local days from joining to the order; -100000 = unknown", CASE_ORDER),
    "order_category_active": truth(f"is_active(category_note(st, s, {_CATEGORY}))",
                                   "its category is active now", CASE_ORDER),
    "inquiry_topic": enum("pool[case, INQUIRY_BITS] & 7", _TOPICS, "what is asked", CASE_INQUIRY),
    "inquiry_topic_number": number("pool[case, INQUIRY_BITS] & 7", "", "the same as a number that can be kept",
                                   CASE_INQUIRY),
    "inquiry_channel": enum("pool[case, INQUIRY_BITS] >> 3 & 7", _CHANNELS, "where", CASE_INQUIRY),
    "inquiry_service": enum("pool[case, INQUIRY_BITS] >> 6 & 3", _SERVICES, "service concerned", CASE_INQUIRY),
    "inquiry_state": enum("pool[case, INQUIRY_BITS] >> 8 & 3", _INQUIRY_STATES, "progress", CASE_INQUIRY),
    "inquiry_opened_at": number("get64(pool, case, INQUIRY_OPENED)", "ms", "its earliest event", CASE_INQUIRY),
    "inquiry_area": text("get64(pool, case, INQUIRY_AREA)", "network area concerned", CASE_INQUIRY),
    "roaming_state": enum("pool[case, COUNTRY_BITS] & 3", _ROAMING_STATES, "landed or left", CASE_COUNTRY),
    "country": text("get64(pool, case, COUNTRY_KEY)", "country of the event", CASE_COUNTRY),
    "country_is_home": truth("get64(pool, case, COUNTRY_KEY) == HOME_COUNTRY", "it is CN", CASE_COUNTRY),
    "country_time_zone": text("get64(pool, case, COUNTRY_ZONE)", "its time zone, where told", CASE_COUNTRY),
    "country_unseen_days": number("pool[case, COUNTRY_UNSEEN]", "days",
                                  "local days since the customer was seen there; 100000 = never", CASE_COUNTRY),
    "usage_succeeded": truth("event >> 7 & 1 != 0", "the use was a success", OF_USAGE),
}  # fmt: skip


def _orders_cancelled(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """Add-ons cancelled on so many local days before, the day itself included."""
    only(given, "addons_cancelled")
    days = integer(given, "addons_cancelled", None, ORDER_DAYS - 1)
    return Typed(f"np.float64(orders_cancelled(st, s, pool, day, {days}))", "number", "count")


def _came_back(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """What an add-on was cancelled of is subscribed or renewed after `at`, at most so many local days after that."""
    only(given, "came_back")
    days = integer(given, "came_back", None, ORDER_DAYS - 1)
    return Typed(f"came_back(st, s, pool, at, {days})", "boolean")


def _was_cancelled(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """An add-on of the order's category was cancelled so many local days before it at most."""
    only(given, "cancelled_before")
    days = integer(given, "cancelled_before", None, ORDER_DAYS - 1)
    return Typed(f"was_cancelled(st, s, pool, case, {days})", "boolean")


def _category_active(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """A service category is active now."""
    only(given, "active")
    category = word(given, "active", _CATEGORIES)
    return Typed(f"is_active(category_note(st, s, {category}))", "boolean")


def _inquiries(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """Open inquiries on the topic of this one, opened on so many local days before, or within so many hours."""
    if "hours" in given:
        only(given, "open_on_topic", "hours")
        days, hours = 0, integer(given, "hours", None, 24 * (INQUIRY_DAYS - 1))
    else:
        only(given, "open_on_topic", "days")
        days, hours = integer(given, "days", None, INQUIRY_DAYS - 1), 0
    if given["open_on_topic"] != "same":
        raise BadFeature("open_on_topic", "want same: the topic of the inquiry at hand")
    return Typed(f"np.float64(open_on_topic(st, s, pool, case, at, {days}, {hours}))", "number", "count")


def _asked(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """When an inquiry on a topic was first opened on a closed local day; 0 = not."""
    only(given, "first_asked", "offset")
    topic, offset = word(given, "first_asked", _TOPICS), integer(given, "offset", 1, INQUIRY_DAYS - 1)
    return Typed(f"np.float64(first_asked(st, s, pool, {topic}, day - {offset}))", "number", "ms")


def _unasked(given: Mapping[str, Any], _: Callable[[str], int]) -> Typed:
    """Local days between a closed day and the last one before on which an inquiry on a topic was opened."""
    only(given, "days_unasked", "offset")
    topic, offset = word(given, "days_unasked", _TOPICS), integer(given, "offset", 1, INQUIRY_DAYS - 1)
    return Typed(f"np.float64(days_unasked(st, s, pool, {topic}, day - {offset}))", "number", "days")


CASE_AGGREGATES: Mapping[str, Aggregate] = {
    "addons_cancelled": _orders_cancelled,
    "cancelled_before": _was_cancelled,
    "came_back": _came_back,
    "active": _category_active,
    "open_on_topic": _inquiries,
    "first_asked": _asked,
    "days_unasked": _unasked,
}

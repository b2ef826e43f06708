"""Where everything is in the rows of orders, inquiries and countries, and how long they are kept.

They are rows of the pool like those of `layout`: TYPE, NEXT, then the fields below.
"""

from services.detector.engine.customer.layout import CASE_WORDS, Field, offsets, words

ORDER_ROW: tuple[Field, ...] = (
    Field("ORDER_KEY", 2, "text key of source and order id"),
    Field("ORDER_EVENT", 2, "identity hash of the event"),
    Field("ORDER_AT", 2, "occurred_at"),
    Field("ORDER_RANK", 4, "order among events of one instant"),
    Field("ORDER_BITS", 1, "code of the event (see wire.PLACES), and IS_PAST"),
    Field("ORDER_UNSEEN", 1, "local days since the category was last active, before this order"),
    Field("ORDER_WAIT", 1, "hours after the order at which rules that wait look at it next; 0 = none"),
)

INQUIRY_ROW: tuple[Field, ...] = (
    Field("INQUIRY_ID", 2, "text key of source and inquiry id"),
    Field("INQUIRY_OPENED", 2, "earliest occurred_at of its events"),
    Field("INQUIRY_AT", 2, "occurred_at of its newest event"),
    Field("INQUIRY_RANK", 4, "order among events of one instant"),
    Field("INQUIRY_BITS", 1, "code of the newest event, and IS_PAST"),
    Field("INQUIRY_AREA", 2, "text key of the area; 0 = not told"),
)

COUNTRY_ROW: tuple[Field, ...] = (
    Field("COUNTRY_KEY", 2, "text key of the country"),
    Field("COUNTRY_AT", 2, "occurred_at of its newest roaming event"),
    Field("COUNTRY_RANK", 4, "order among events of one instant"),
    Field("COUNTRY_ZONE", 2, "text key of the time zone; 0 = not told"),
    Field("COUNTRY_BITS", 1, "code of the newest event"),
    Field("COUNTRY_UNSEEN", 1, "local days since the customer was seen there, before that event"),
)

NAMED_ROW: tuple[Field, ...] = (
    Field("NAMED_CATEGORY", 1, "service category that a customer record newly named"),
    Field("NAMED_DAY", 1, "local day of that record"),
    Field("NAMED_NOTE", 1, "what was noted of the category without that record; see `orders`"),
)

ORDERS_KEPT = INQUIRIES_KEPT = COUNTRIES_KEPT = 12
"""Rows of a type that one customer may have; beyond, the oldest gives way."""
ORDER_DAYS, INQUIRY_DAYS, COUNTRY_DAYS, COMPLAINT_DAYS = 61, 61, 366, 400
"""Local days for which a row is kept after its newest event."""
EPISODE_DAYS = 40
"""Local days for which the row of an episode that is over is kept after its nominal day: more than any period."""
IS_PAST = 1 << 16
"""Bit of ORDER_BITS and INQUIRY_BITS: loaded as the past."""
NAMED_AHEAD_DAYS = 1
"""An order on so many local days after a record newly named its category, or before, is what the record tells of."""
NEVER_SEEN = 100_000
"""Stands for the days since something that never was."""

_ORDER = offsets(ORDER_ROW, 2)
ORDER_KEY, ORDER_EVENT, ORDER_AT = _ORDER["ORDER_KEY"], _ORDER["ORDER_EVENT"], _ORDER["ORDER_AT"]
ORDER_RANK, ORDER_BITS = _ORDER["ORDER_RANK"], _ORDER["ORDER_BITS"]
ORDER_UNSEEN, ORDER_WAIT = _ORDER["ORDER_UNSEEN"], _ORDER["ORDER_WAIT"]

_INQUIRY = offsets(INQUIRY_ROW, 2)
INQUIRY_ID, INQUIRY_OPENED = _INQUIRY["INQUIRY_ID"], _INQUIRY["INQUIRY_OPENED"]
INQUIRY_AT, INQUIRY_RANK = _INQUIRY["INQUIRY_AT"], _INQUIRY["INQUIRY_RANK"]
INQUIRY_BITS, INQUIRY_AREA = _INQUIRY["INQUIRY_BITS"], _INQUIRY["INQUIRY_AREA"]

_COUNTRY = offsets(COUNTRY_ROW, 2)
COUNTRY_KEY, COUNTRY_AT, COUNTRY_RANK = _COUNTRY["COUNTRY_KEY"], _COUNTRY["COUNTRY_AT"], _COUNTRY["COUNTRY_RANK"]
COUNTRY_ZONE, COUNTRY_BITS = _COUNTRY["COUNTRY_ZONE"], _COUNTRY["COUNTRY_BITS"]
COUNTRY_UNSEEN = _COUNTRY["COUNTRY_UNSEEN"]

_NAMED = offsets(NAMED_ROW, 2)
NAMED_CATEGORY, NAMED_DAY, NAMED_NOTE = _NAMED["NAMED_CATEGORY"], _NAMED["NAMED_DAY"], _NAMED["NAMED_NOTE"]

assert all(words(fields) <= CASE_WORDS - 2 for fields in (ORDER_ROW, INQUIRY_ROW, COUNTRY_ROW, NAMED_ROW))

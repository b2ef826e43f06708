"""Where everything is in a customer's record and in the rows of its cases: the table, and the constants made from it.

One record of int32 words per customer, a whole number of cache lines, so that none is cut in two; numbers of 64 bits
take two words (low, high). What only some customers have (open moments, complaints, handset swaps) is in a pool of
16-word rows, chained from the record. Kernels use the constants; `STATE_VERSION` changes whenever the table does.
"""

from dataclasses import dataclass

STATE_VERSION = 5
PAGE_ROWS = 512
"""Customers of one page."""

DAILY_DAYS = 42
"""Local days of the daily rings: 35 closed ones and the running week."""
HOURLY_HOURS = 24
MONTHLY_MONTHS = 5
"""Local months of the monthly rings: the running one and four closed ones."""
DAILY_KINDS = 3
"""Words per day: voice seconds and successes packed, data KiB, charge."""
MONTHLY_KINDS = 3
"""Words per month: on-net seconds, off-net seconds, out-of-bundle fen."""
NAMED_SHIFT = 24
"""From this bit on CODES says which service categories the customer record names."""
BILL_CYCLES = 4
BILL_KINDS = 4
"""Words per billed cycle: total, out-of-bundle, make-up fen, and the minute of its bill run; 0 = no bill."""
CONTACTS_KEPT = 10
ATTRIBUTE_BITS = 51
"""Of ATTRIBUTES: the places; above them the tag of the card that they belong to."""
ATTRIBUTE_TAGS = 1 << 63 - ATTRIBUTE_BITS
CATEGORIES_KEPT = 8
USAGE_MEMORY = 8
OTHER_MEMORY = 6
"""How many event-id hashes of a customer are remembered: of usage, and of all other kinds."""


@dataclass(frozen=True)
class Field:
    """A field of the record: name, words, and what it holds."""

    name: str
    words: int
    about: str


RECORD: tuple[Field, ...] = (
    # The first cache line: what every event needs. Usage, the most frequent kind, needs the next ones too.
    Field("ID", 2, "customer id"),
    Field("FLAGS", 1, "bits: HAS_PROFILE, AUTO_PAY, PENDING; from LIVE_SHIFT on, rules with live rows"),
    Field("CASES", 1, "first row of the customer's chain in the pool; 0 = none"),
    Field("FIRST_DAY", 1, "earliest local day of usage; 0 = none"),
    Field("NEWEST_HOUR", 1, "newest local hour of usage, so also the newest day of the daily rings"),
    Field("NEWEST_MONTH", 1, "newest local month of usage"),
    Field("DUE", 1, "next minute at which a case must be looked at; 0 = none"),
    Field("MEMORY_AT", 1, "write positions in both memories of event ids"),
    Field("LAST_OK", 1, "full minute at or after the newest successful use; 0 = none"),
    Field("CODES", 1, "city, segment, tier, birthday calendar, categories named (8, 8, 4, 4, 8 bits)"),
    Field("USED_VOICE", 1, "of the newest month, against the allowance: seconds of outgoing calls"),
    Field("USED_DATA", 1, "likewise: KiB"),
    Field("USED_SMS", 1, "likewise: outgoing messages"),
    Field("MONTH_CHARGE", 1, "charge of the newest month, fen"),
    Field("STATUSES", 1, "reason of the newest balance, status of the line; 0 = not told (8, 8 bits)"),
    # The second: event ids. Then what limits are compared with, and the rings.
    Field("USAGE_IDS", 2 * USAGE_MEMORY, "identity hashes of the last usage events"),
    Field("JOINED", 1, "local date of joining, days since 1970; 0 = unknown"),
    Field("CONTRACT_ENDS", 1, "local date of contract end; 0 = none"),
    Field("ARPU", 1, "fen; -1 = unknown"),
    Field("PLAN_FEE", 1, "fen; -1 = unknown"),
    Field("PLAN_VOICE", 1, "seconds a month; -1 = unknown"),
    Field("PLAN_DATA", 1, "KiB a month; -1 = unknown"),
    Field("PLAN_SMS", 1, "messages a month; -1 = unknown"),
    Field("PLAN_CAPABILITIES", 1, "bits of CAPABILITIES"),
    Field("HOURS", HOURLY_HOURS, "charge per local hour, fen"),
    Field("MONTHS", MONTHLY_MONTHS * MONTHLY_KINDS, "per local month: see MONTHLY_KINDS"),
    Field("BILL_CYCLE", 1, "newest billed cycle, months since 2000; 0 = no bill"),
    Field("DAYS", DAILY_DAYS * DAILY_KINDS, "per local day: see DAILY_KINDS"),
    Field("ATTRIBUTES", 2, "places of the bins of its attributes, as the risk card then in force had them; see `risk`"),
    # Last values.
    Field("BALANCE", 2, "newest balance, fen"),
    Field("BALANCE_AT", 2, "its occurred_at; 0 = none"),
    Field("BALANCE_RANK", 4, "its order among events of one instant"),
    Field("TOPPED_UP_AT", 2, "occurred_at of the newest top-up that left no arrears; 0 = none"),
    Field("LINE_EXPECTED", 2, "forecast of suspension, ms; 0 = none"),
    Field("LINE_AT", 2, "since when"),
    Field("EXPLAINED_DAY", 1, "newest local day of roaming, a suspension or a resumption; 0 = none"),
    Field("PLAN_DAY", 1, "local day from which the newest plan holds, by orders; 0 = none"),
    Field("LINE_RANK", 4, "order among events of one instant"),
    Field("LINE_EVENT", 2, "identity hash of the event that told it"),
    Field("PROFILE_AT", 2, "occurred_at of the newest customer record"),
    Field("PROFILE_RANK", 4, "order among events of one instant"),
    Field("PLAN_BEFORE", 1, "local day from which the plan before it holds, by orders; 0 = none"),
    Field("RENEWED", 1, "minute of the newest renewal; 0 = none"),
    Field("BILL_AT", 2, "occurred_at of its bill"),
    Field("OTHER_IDS", 2 * OTHER_MEMORY, "identity hashes of the last other events"),
    Field("CATEGORIES", CATEGORIES_KEPT // 2, "per service category 16 bits: last active day, active or not"),
    Field("CONTACTS", 2 * CONTACTS_KEPT, "top contacts: see `contacts`"),
    Field("OWNER", 2, "text key of the owner manager's id; 0 = none"),
    Field("DEPUTY", 2, "text key of the deputy's id; 0 = none"),
    Field("BRAND", 2, "text key of the brand; 0 = none"),
    Field("BIRTHDAY", 1, "month * 100 + day; 0 = unknown"),
    Field("BILL_PLAN_FEE", 1, "its plan fee, fen"),
    Field("BILL_RANK", 4, "order among events of one instant"),
    Field("BILLS", BILL_CYCLES * BILL_KINDS, "per cycle: see BILL_KINDS"),
)

CASE_ROW: tuple[Field, ...] = (
    Field("TYPE", 1, "SWAP, COMPLAINT, EPISODE, HELD, ..."),
    Field("NEXT", 1, "next row of the chain; 0 = end"),
    Field("BODY", 14, "by type, below"),
)

SWAP_ROW: tuple[Field, ...] = (
    Field("SWAP_AT", 2, "occurred_at of the handset change"),
    Field("SWAP_RANK", 4, "order among events of one instant"),
    Field("SWAP_MODEL", 2, "text key of the model"),
    Field("SWAP_PREVIOUS", 2, "text key of the model before, where told"),
    Field("SWAP_EVENT", 2, "identity hash of the event"),
    Field("SWAP_BITS", 1, "capabilities, history"),
)

COMPLAINT_ROW: tuple[Field, ...] = (
    Field("COMPLAINT_ID", 2, "text key of source and complaint id"),
    Field("COMPLAINT_OPENED", 2, "earliest occurred_at of its events"),
    Field("COMPLAINT_AT", 2, "occurred_at of its newest event"),
    Field("COMPLAINT_RANK", 4, "order among events of one instant"),
    Field("COMPLAINT_BITS", 1, "state, topic, severity of the newest event"),
)

EPISODE_ROW: tuple[Field, ...] = (
    Field("EPISODE_RULE", 1, "rule id in base 37"),
    Field("EPISODE_BITS", 1, "revision, priority, OPEN, DISARMED"),
    Field("EPISODE_KEY", 2, "what opened it: event identity, complaint, or local day"),
    Field("EPISODE_AT", 2, "occurred_at of what opened it; 0 for periods"),
    Field("EPISODE_EXPIRES", 2, "ms"),
    Field("EPISODE_DUE", 2, "ms at which it must be looked at; 0 = never"),
    Field("EPISODE_COOL_DAY", 1, "local day from which the rule may raise again"),
    Field("EPISODE_KEPT", 1, "a number that the rule keeps, such as its baseline"),
    Field("EPISODE_WATCH", 1, "hash of what is told again when it changes"),
    Field("EPISODE_DAY", 1, "nominal local day of all its revisions"),
)


HELD_ROW: tuple[Field, ...] = (
    Field("HELD_RULE", 1, "rule id in base 37"),
    Field("HELD_WEEK", 1, "newest week in which its condition held, weeks since 1970 by their Monday"),
    Field("HELD_BITS", 1, "bit n: it held n weeks before that"),
)


def live_bit(rule: int) -> int:
    """Return the bit of FLAGS of a rule; some rules share one."""
    return 1 << (LIVE_SHIFT + rule % LIVE_BITS)


def offsets(fields: tuple[Field, ...], start: int = 0) -> dict[str, int]:
    """Return the first word of every field."""
    found: dict[str, int] = {}
    for field in fields:
        found[field.name] = start
        start += field.words
    return found


def words(fields: tuple[Field, ...]) -> int:
    """Return how many words the fields take together."""
    return sum(field.words for field in fields)


_AT = offsets(RECORD)
WORDS = words(RECORD)
ID, FLAGS, CASES, FIRST_DAY = (_AT[n] for n in ("ID", "FLAGS", "CASES", "FIRST_DAY"))
NEWEST_HOUR, NEWEST_MONTH, DUE = _AT["NEWEST_HOUR"], _AT["NEWEST_MONTH"], _AT["DUE"]
MEMORY_AT, LAST_OK, CODES = _AT["MEMORY_AT"], _AT["LAST_OK"], _AT["CODES"]
USED_VOICE, USED_DATA, USED_SMS = _AT["USED_VOICE"], _AT["USED_DATA"], _AT["USED_SMS"]
MONTH_CHARGE = _AT["MONTH_CHARGE"]
BALANCE, BALANCE_AT, BALANCE_RANK = _AT["BALANCE"], _AT["BALANCE_AT"], _AT["BALANCE_RANK"]
TOPPED_UP_AT = _AT["TOPPED_UP_AT"]
STATUSES, LINE_AT = _AT["STATUSES"], _AT["LINE_AT"]
LINE_RANK, LINE_EVENT, LINE_EXPECTED = _AT["LINE_RANK"], _AT["LINE_EVENT"], _AT["LINE_EXPECTED"]
PROFILE_AT, PROFILE_RANK, BIRTHDAY, JOINED = (_AT[n] for n in ("PROFILE_AT", "PROFILE_RANK", "BIRTHDAY", "JOINED"))
CONTRACT_ENDS, ARPU, PLAN_FEE = _AT["CONTRACT_ENDS"], _AT["ARPU"], _AT["PLAN_FEE"]
PLAN_VOICE, PLAN_DATA, PLAN_SMS = _AT["PLAN_VOICE"], _AT["PLAN_DATA"], _AT["PLAN_SMS"]
PLAN_CAPABILITIES, OWNER, DEPUTY, BRAND = (_AT[n] for n in ("PLAN_CAPABILITIES", "OWNER", "DEPUTY", "BRAND"))
ATTRIBUTES = _AT["ATTRIBUTES"]
EXPLAINED_DAY, PLAN_DAY = _AT["EXPLAINED_DAY"], _AT["PLAN_DAY"]
PLAN_BEFORE, RENEWED = _AT["PLAN_BEFORE"], _AT["RENEWED"]
CATEGORIES, CONTACTS = _AT["CATEGORIES"], _AT["CONTACTS"]
BILL_CYCLE, BILL_AT, BILL_RANK = _AT["BILL_CYCLE"], _AT["BILL_AT"], _AT["BILL_RANK"]
BILL_PLAN_FEE, BILLS = _AT["BILL_PLAN_FEE"], _AT["BILLS"]
USAGE_IDS, OTHER_IDS, HOURS = _AT["USAGE_IDS"], _AT["OTHER_IDS"], _AT["HOURS"]
MONTHS, DAYS = _AT["MONTHS"], _AT["DAYS"]

HAS_PROFILE, AUTO_PAY, PENDING, ABROAD = 1, 2, 4, 8
"""Bits of FLAGS. ABROAD: the newest roaming event is a landing abroad.
PENDING: found in history, or before there were rules; told once loading is over."""
LINE_SHIFT = 8
"""From this bit on STATUSES tells the line's."""
LIVE_SHIFT, LIVE_BITS = 8, 23
"""From this bit on FLAGS says which rules may have an open or disarmed row: so events need not walk the chain."""

CASE_WORDS = words(CASE_ROW)
TYPE, NEXT = 0, 1
SWAP, COMPLAINT, EPISODE, ORDER_CASE, INQUIRY_CASE, COUNTRY_CASE, HELD, NAMED_CASE = range(1, 9)
SWAPS_KEPT = 8
COMPLAINTS_KEPT = 8
"""Rows of a type that one customer may have; beyond, the oldest gives way."""

_SWAP = offsets(SWAP_ROW, 2)
SWAP_AT, SWAP_RANK, SWAP_MODEL = _SWAP["SWAP_AT"], _SWAP["SWAP_RANK"], _SWAP["SWAP_MODEL"]
SWAP_PREVIOUS, SWAP_EVENT, SWAP_BITS = _SWAP["SWAP_PREVIOUS"], _SWAP["SWAP_EVENT"], _SWAP["SWAP_BITS"]
SWAP_HISTORY = 1 << 16
"""Bit of SWAP_BITS; the lower ones are capabilities."""

_COMPLAINT = offsets(COMPLAINT_ROW, 2)
COMPLAINT_ID, COMPLAINT_OPENED = _COMPLAINT["COMPLAINT_ID"], _COMPLAINT["COMPLAINT_OPENED"]
COMPLAINT_AT, COMPLAINT_RANK = _COMPLAINT["COMPLAINT_AT"], _COMPLAINT["COMPLAINT_RANK"]
COMPLAINT_BITS = _COMPLAINT["COMPLAINT_BITS"]

_EPISODE = offsets(EPISODE_ROW, 2)
EPISODE_RULE, EPISODE_BITS, EPISODE_KEY = _EPISODE["EPISODE_RULE"], _EPISODE["EPISODE_BITS"], _EPISODE["EPISODE_KEY"]
EPISODE_AT, EPISODE_EXPIRES = _EPISODE["EPISODE_AT"], _EPISODE["EPISODE_EXPIRES"]
EPISODE_DUE, EPISODE_COOL_DAY = _EPISODE["EPISODE_DUE"], _EPISODE["EPISODE_COOL_DAY"]
EPISODE_KEPT, EPISODE_WATCH = _EPISODE["EPISODE_KEPT"], _EPISODE["EPISODE_WATCH"]
EPISODE_DAY = _EPISODE["EPISODE_DAY"]
_HELD = offsets(HELD_ROW, 2)
HELD_RULE, HELD_WEEK, HELD_BITS = _HELD["HELD_RULE"], _HELD["HELD_WEEK"], _HELD["HELD_BITS"]
OPEN, DISARMED, BY_PERIOD = 1, 2, 4
REVISION_SHIFT = 8
"""EPISODE_BITS: OPEN, DISARMED, BY_PERIOD (named by its day, whatever EPISODE_AT is), then the revision from bit 8."""

VOICE_MAX = (1 << 18) - 1
SUCCESS_MAX = (1 << 13) - 1
"""Bounds of the packed day word: seconds in the low 18 bits, successes in the 13 above; sums stop there."""
INT32_MAX = (1 << 31) - 1

assert WORDS * 4 % 64 == 0
assert max(words(fields) for fields in (SWAP_ROW, COMPLAINT_ROW, EPISODE_ROW, HELD_ROW)) <= CASE_WORDS - 2

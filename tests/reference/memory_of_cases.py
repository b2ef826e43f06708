"""What is remembered of what only some customers have: handset changes, complaints, orders, inquiries, journeys."""

from datetime import date, timedelta

from tests.reference.local_time import HOUR, local_date
from tests.reference.memory import CATEGORIES, Categories, Customer, as_before, note_category
from tests.reference.order import Record, identity, newest, order

CASES_KEPT = 8
MORE_KEPT = 12
CYCLE_KEPT_DAYS = 160
"""How long it is known that a cycle was raised."""
DAYS_PLANNED_AHEAD = 400
"""A plan that is said to begin later is not believed to."""
NEVER = 100_000
"""Days since what never was."""


def take_handset_change(customer: Customer, record: Record) -> bool:
    """The eight newest handset changes."""
    if any(identity(each) == identity(record) for each in customer.swaps):
        return False
    if len(customer.swaps) == CASES_KEPT:
        oldest = min(customer.swaps, key=order)
        if order(record) < order(oldest):
            return False
        customer.swaps.remove(oldest)
    customer.swaps.append(record)
    return True


def take_complaint(customer: Customer, record: Record) -> bool:
    """All events of the eight complaints with the newest events."""
    key = (record["source"], record["complaint_id"])
    if key not in customer.complaints and len(customer.complaints) == CASES_KEPT:
        oldest = min(customer.complaints, key=lambda each: order(newest(customer.complaints[each])))
        if order(record) < order(newest(customer.complaints[oldest])):
            return True
        del customer.complaints[oldest]
    customer.complaints.setdefault(key, []).append(record)
    return True


# --- orders --------------------------------------------------------------------------------------------------------


def take_service_order(customer: Customer, record: Record) -> bool:
    """The twelve newest orders, what they say of their category, and of the plan."""
    day = local_date(record["occurred_at"])
    if record["category"] == "VOICE_PLAN" and record["action"] in ("SUBSCRIBE", "CHANGE") and not record["addon"]:
        told = record["effective_on"]
        from_day = day if told is None else date(1970, 1, 1) + timedelta(told)
        if from_day <= day + timedelta(DAYS_PLANNED_AHEAD):
            customer.plan_days = sorted({*customer.plan_days, from_day}, reverse=True)[:2]
    if record["action"] == "RENEW" and not record["addon"]:
        customer.renewal_day = max(customer.renewal_day or day, day)
    if any(identity(each) == identity(record) for each in customer.orders):
        return False
    if len(customer.orders) == MORE_KEPT:
        oldest = min(customer.orders, key=order)
        if order(record) < order(oldest):
            return False
        customer.orders.remove(oldest)
    known = as_before(customer, record["category"], day)
    kept = {**record, "unseen_days": unseen_days(known[0], record["category"], day)}
    is_newest = all(order(each) <= order(record) for each in customer.orders if each["category"] == record["category"])
    customer.orders.append(kept)
    if is_newest and record["category"] in CATEGORIES and record["action"] != "UNKNOWN":
        for categories in known:
            note_category(categories, record["category"], record["action"] != "CANCEL", day)
    return True


def unseen_days(categories: Categories, category: str, day: date) -> int:
    """Days since a category was last active; 0 while it is."""
    if category not in CATEGORIES:
        return 0
    known = categories.get(category)
    if known is None:
        return NEVER
    return 0 if known.is_active else max((day - known.noted_on).days, 0)


# --- inquiries -----------------------------------------------------------------------------------------------------


def take_inquiry(customer: Customer, record: Record) -> bool:
    """All events of the twelve inquiries with the newest events; only the newest of an inquiry is judged."""
    key = (record["source"], record["inquiry_id"])
    if key not in customer.inquiries and len(customer.inquiries) == MORE_KEPT:
        oldest = min(customer.inquiries, key=lambda each: order(newest(customer.inquiries[each])))
        if order(record) < order(newest(customer.inquiries[oldest])):
            return False
        del customer.inquiries[oldest]
    customer.inquiries.setdefault(key, []).append(record)
    return newest(customer.inquiries[key]) is record


# --- journeys ------------------------------------------------------------------------------------------------------


def take_roaming(customer: Customer, record: Record) -> bool:
    """The newest event of each of twelve countries; only the newest of all is judged."""
    day, country = local_date(record["occurred_at"]), record["country"]
    customer.travel_day = max(customer.travel_day or day, day)
    known = customer.countries.get(country)
    is_newest = all(order(each) <= order(record) for each in customer.countries.values())
    unseen = NEVER if known is None else max((day - local_date(known["occurred_at"])).days, 0)
    if known is None and len(customer.countries) == MORE_KEPT:
        oldest = min(customer.countries.values(), key=order)
        if order(record) < order(oldest):
            return False
        del customer.countries[oldest["country"]]
    if known is None or order(record) >= order(known):
        customer.countries[country] = record
    if is_newest:
        customer.roaming = {**record, "unseen_days": unseen}
    return is_newest


# --- forgetting ----------------------------------------------------------------------------------------------------


def forget(customer: Customer, today: date) -> None:
    """What no rule can ask for any more goes at 00:05 of a day."""

    def is_older(record: Record, days: int) -> bool:
        return local_date(record["occurred_at"]) < today - timedelta(days)

    forget_episodes(customer, today)
    customer.orders = [each for each in customer.orders if not is_older(each, 61)]
    for name in [each for each, named in customer.named.items() if named.on < today - timedelta(61)]:
        del customer.named[name]
    for key in [each for each, records in customer.inquiries.items() if is_older(newest(records), 61)]:
        del customer.inquiries[key]
    for country in [each for each, record in customer.countries.items() if is_older(record, 366)]:
        del customer.countries[country]
    for key in [each for each, records in customer.complaints.items() if is_older(newest(records), 400)]:
        del customer.complaints[key]


def forget_episodes(customer: Customer, today: date) -> None:
    """Episodes that are over, armed, past their cool-down and old; those of complaints stay as long as these."""
    for place, episode in list(customer.episodes.items()):
        rule, key = place
        if key in customer.complaints:
            continue
        if episode.cycle and today < episode.nominal + timedelta(CYCLE_KEPT_DAYS):
            continue
        is_over = not episode.is_open or episode.expires <= _five_past_midnight(today)
        is_armed = rule not in customer.disarmed
        if is_over and is_armed and today >= episode.first_free_day and episode.nominal < today - timedelta(40):
            del customer.episodes[place]


def _five_past_midnight(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 24 * HOUR - 8 * HOUR + 5 * 60_000

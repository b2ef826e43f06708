"""The plain-sum card: points for falling calls and data, complaints, short tenure, no auto-pay, low balance."""

from datetime import date, timedelta
from fractions import Fraction

from tests.reference.memory import Customer, Ring, days_sum

Term = tuple[str, str, float]
EPOCH = date(1970, 1, 1)


def score(customer: Customer, day: date) -> tuple[float, tuple[Term, ...]]:
    """The score on a day, and its terms: name, bin, points."""
    terms = (
        _trend(customer, "voice_trend", customer.seconds, day, (30, 20, 10, 0, 5)),
        _trend(customer, "data_trend", customer.data, day, (15, 10, 5, 0, 3)),
        _complaints(customer, day),
        _tenure(customer, day),
        _auto_pay(customer),
        _balance(customer),
    )
    return float(min(sum(points for _, _, points in terms), 100)), terms


def _trend(customer: Customer, name: str, ring: Ring, day: date, points: tuple[int, ...]) -> Term:
    week = days_sum(ring, day - timedelta(7), day - timedelta(1))
    mean = Fraction(days_sum(ring, day - timedelta(35), day - timedelta(8)), 4)
    if customer.first_day is None or (day - customer.first_day).days < 35 or mean == 0:
        return name, "unknown", points[4]
    percent = week * 100 / mean
    for bin_, below, value in (("silent", 1, points[0]), ("below_half", 50, points[1]), ("falling", 80, points[2])):
        if percent < below:
            return name, bin_, value
    return name, "steady", points[3]


def _complaints(customer: Customer, day: date) -> Term:
    opened = [min(each["occurred_at"] for each in records) for records in customer.complaints.values()]
    count = sum(day - timedelta(90) <= _date(each) <= day for each in opened)
    return "complaints", *(("none", 0), ("one", 15), ("several", 25))[min(count, 2)]


def _tenure(customer: Customer, day: date) -> Term:
    joined = customer.profile["joined_on"] if customer.profile else None
    tenure = (day - EPOCH).days - joined if joined else -1
    if tenure < 0:
        return "tenure", "unknown", 5
    for bin_, below, points in (("first_year", 365, 15), ("second_year", 730, 10), ("to_five_years", 1826, 5)):
        if tenure < below:
            return "tenure", bin_, points
    return "tenure", "long", 0


def _auto_pay(customer: Customer) -> Term:
    is_on = customer.profile is not None and customer.profile["auto_pay"]
    return ("auto_pay", "automatic", 0) if is_on else ("auto_pay", "by_hand", 10)


def _balance(customer: Customer) -> Term:
    if customer.balance is None:
        return "balance", "unknown", 2
    fen = customer.balance["balance_fen"]
    if fen < 0:
        return "balance", "arrears", 15
    return ("balance", "low", 8) if fen < 1000 else ("balance", "enough", 0)


def _date(at: int) -> date:
    return EPOCH + timedelta((at + 8 * 3_600_000) // 86_400_000)

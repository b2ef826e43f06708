"""The simulated province: customers over the 13 cities and the roster of phone managers. Pure and seeded.

The same seed and size give the same people; a greater size adds people and changes none.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

# Cities with their share of the customers, per cent.
CITY_SHARES = {
    "NJ": 15,
    "SZ": 14,
    "WX": 11,
    "XZ": 9,
    "NT": 9,
    "CZ": 8,
    "YC": 6,
    "YZ": 6,
    "TZ": 6,
    "HA": 5,
    "ZJ": 4,
    "LYG": 4,
    "SQ": 3,
}
SEGMENTS = ("GO", "BRAND", "EASY", "ENTERPRISE", "FAMILY")
TIER_SHARES = {"TOP": 6, "HIGH": 20, "MID": 50, "LOW": 24}
TIER_ARPU_FEN = {"TOP": (52_000, 90_000), "HIGH": (15_000, 30_000), "MID": (6_000, 12_000), "LOW": (2_000, 4_500)}
# Opaque customer numbers: 16 digits, far from every phone number's shape.
FIRST_CUSTOMER_ID = 8_100_000_000_000_000
ID_STRIDE = 7_919_317
HEAVY_TALKER_RATIO = 0.4
AUTO_PAY_RATIO = 0.3
# Services that everybody has, so that ordering one of them is no first time.
USUAL_CATEGORIES = ("VOICE_PLAN", "DATA_PACK", "TV", "MUSIC", "SECURITY", "BROADBAND")


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A customer as the simulation knows it; amounts in fen, times in seconds."""

    index: int
    customer_id: int
    city: str
    segment: str
    tier: str
    arpu_fen: int
    owner_manager_id: str
    deputy_manager_id: str | None
    # YYYY-MM-DD or MM-DD as upstream sends it; None = unknown.
    birthday: str | None
    birthday_calendar: str = "SOLAR"
    joined_on: str = "2020-01-01"
    brand: str = "Classic"
    plan_id: str = "P58"
    plan_fee_fen: int = 5_800
    auto_pay: bool = False
    language: str = "zh"
    quiet_windows: tuple[str, ...] = ()
    # Mean voice seconds of a week; 0 = hardly ever calls.
    weekly_voice_seconds: int = 0
    has_profile: bool = True
    plan_voice_seconds: int = 60_000
    contract_ends_on: str | None = None
    active_categories: tuple[str, ...] = USUAL_CATEGORIES
    # Further fields of the customer record, of which the risk card takes some.
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manager:
    """A phone manager of the roster."""

    manager_id: str
    city: str
    team: str
    capacity_units: int = 100
    daily_budget: int = 200


@dataclass(frozen=True, kw_only=True)
class Province:
    """Everybody in the simulation."""

    customers: tuple[Customer, ...]
    managers: tuple[Manager, ...]


def build_province(
    *, seed: int, customers: int, managers_per_city: int = 2, safe_from: date, safe_until: date
) -> Province:
    """Make the province.

    No birthday falls on the days `safe_from` to `safe_until`, both included: days whose early morning the run has not
    seen, so that nobody could say whether a birthday moment is due.
    """
    managers = build_roster(managers_per_city)
    by_city: dict[str, list[str]] = {}
    for manager in managers:
        by_city.setdefault(manager.city, []).append(manager.manager_id)
    people = tuple(
        build_customer(index, seed=seed, roster=by_city, safe_from=safe_from, safe_until=safe_until)
        for index in range(customers)
    )
    return Province(customers=people, managers=managers)


def build_roster(managers_per_city: int) -> tuple[Manager, ...]:
    """Managers such as m-NJ-01, the same number in every city, in teams of at most ten."""
    return tuple(
        Manager(manager_id=f"m-{city}-{number:02d}", city=city, team=f"{city}-{(number - 1) // 10 + 1}")
        for city in CITY_SHARES
        for number in range(1, managers_per_city + 1)
    )


def build_customer(
    index: int, *, seed: int, roster: dict[str, list[str]], safe_from: date, safe_until: date
) -> Customer:
    """One customer, a function of seed and index alone."""
    random = Random(f"{seed}/customer/{index}")
    city = random.choices(list(CITY_SHARES), weights=list(CITY_SHARES.values()))[0]
    tier = random.choices(list(TIER_SHARES), weights=list(TIER_SHARES.values()))[0]
    owners = roster[city]
    owner = index % len(owners)
    fee = random.choice((2_800, 5_800, 8_800, 12_800))
    return Customer(
        index=index,
        customer_id=customer_id_of(index, seed=seed),
        city=city,
        segment=random.choice(SEGMENTS),
        tier=tier,
        arpu_fen=random.randint(*TIER_ARPU_FEN[tier]),
        owner_manager_id=owners[owner],
        deputy_manager_id=owners[(owner + 1) % len(owners)] if len(owners) > 1 else None,
        birthday=random_birthday(random, safe_from=safe_from, safe_until=safe_until),
        joined_on=(date(2012, 1, 1) + timedelta(days=random.randrange(4_500))).isoformat(),
        brand=random.choice(("Classic", "Flow", "Home")),
        plan_id=f"P{fee // 100}",
        plan_fee_fen=fee,
        auto_pay=random.random() < AUTO_PAY_RATIO,
        language=random.choices(("zh", "en"), weights=(9, 1))[0],
        weekly_voice_seconds=random.randrange(3_000, 9_000) if random.random() < HEAVY_TALKER_RATIO else 0,
        attributes=random_attributes(Random(f"{seed}/attributes/{index}")),
    )


def random_attributes(random: Random) -> tuple[tuple[str, str], ...]:
    """What else is known of a customer, of the kind that the shipped risk card asks for; of some nothing is."""
    if random.random() < 0.1:
        return ()
    internet = random.choices(("Fiber optic", "DSL", "No"), weights=(44, 34, 22))[0]
    extras = ("No internet service",) if internet == "No" else ("Yes", "No")
    payments = ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")
    return (
        ("contract", random.choices(("Month-to-month", "One year", "Two year"), weights=(55, 21, 24))[0]),
        ("internet_service", internet),
        ("online_security", random.choice(extras)),
        ("tech_support", random.choice(extras)),
        ("payment_method", random.choice(payments)),
        ("paperless_billing", random.choice(("Yes", "No"))),
        ("dependents", random.choices(("Yes", "No"), weights=(3, 7))[0]),
        ("senior_citizen", random.choices(("1", "0"), weights=(16, 84))[0]),
        ("total_charges", f"{random.uniform(20, 8_000):.2f}"),
    )


def customer_id_of(index: int, *, seed: int) -> int:
    """The opaque number of a customer; different seeds have different customers."""
    return FIRST_CUSTOMER_ID + (seed % 1_000) * 500_000_000_000 + index * ID_STRIDE % 499_999_999_991


def random_birthday(random: Random, *, safe_from: date, safe_until: date) -> str | None:
    """A solar birthday outside the safe days and never 29 February; one customer in twenty has none."""
    if random.random() < 0.05:
        return None
    forbidden = {(safe_from + timedelta(days=n)).strftime("%m-%d") for n in range((safe_until - safe_from).days + 1)}
    while True:
        day = date(random.randrange(1950, 2006), 1, 1) + timedelta(days=random.randrange(365))
        if day.strftime("%m-%d") not in forbidden | {"02-29"}:
            return day.isoformat() if random.random() < 0.7 else day.strftime("%m-%d")

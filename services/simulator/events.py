"""Events in the JSON form of docs/events.md, and a pen that writes them for one customer.

Owns shapes and event ids; what is written and when is the business of history, background and stories.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from services.simulator import local_time
from services.simulator.province import Customer

Body: TypeAlias = dict[str, object]

SOURCES: Mapping[str, str] = {
    "balance": "billing",
    "bill": "billing",
    "complaint": "call-centre",
    "contact": "call-centre",
    "customer": "crm",
    "handset-change": "terminal-registry",
    "inquiry": "app",
    "line-status": "boss",
    "roaming": "visitor-register",
    "service-order": "boss",
    "usage": "cdr",
}
KINDS = tuple(sorted(SOURCES))


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as an upstream sends it; `due_ms` is the business time at which it is sent."""

    kind: str
    body: Body
    due_ms: int
    # Name of the story it belongs to; empty for background.
    story: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it one event however often it is sent."""
        return str(self.body["source"]), str(self.body["event_id"])

    @property
    def occurred_at_ms(self) -> int:
        """Event time; the pen always writes it as integer milliseconds."""
        occurred_at = self.body["occurred_at"]
        assert isinstance(occurred_at, int)
        return occurred_at


def sent_again(event: Event, *, due_ms: int) -> Event:
    """The same event (same source and event_id) sent a second time."""
    return replace(event, due_ms=due_ms)


@dataclass
class Pen:
    """Writes events of one customer with event ids that are unique per source and equal for equal plans."""

    customer: Customer
    prefix: str
    story: str = ""
    written: int = field(default=0)

    def write(self, kind: str, at_ms: int, *, due_ms: int | None = None, **fields: object) -> Event:
        """One event of any kind; it is due when it occurs unless told otherwise."""
        self.written += 1
        body: Body = {
            "event_id": f"{self.prefix}-{self.customer.index}-{self.written}",
            "customer_id": self.customer.customer_id,
            "occurred_at": at_ms,
            "source": SOURCES[kind],
        }
        body.update({name: value for name, value in fields.items() if value is not None})
        return Event(kind=kind, body=body, due_ms=at_ms if due_ms is None else due_ms, story=self.story)

    def balance(self, at_ms: int, fen: int, reason: str = "CHARGE", *, due_ms: int | None = None) -> Event:
        """A balance."""
        return self.write("balance", at_ms, due_ms=due_ms, balance_fen=fen, reason=reason)

    def voice(
        self, at_ms: int, seconds: int, *, direction: str = "OUT", charge_fen: int = 0, due_ms: int | None = None
    ) -> Event:
        """A call."""
        return self.write(
            "usage",
            at_ms,
            due_ms=due_ms,
            service="VOICE",
            direction=direction,
            quantity=seconds,
            charge_fen=charge_fen,
            counterpart_network="ON_NET",
        )

    def usage(
        self, at_ms: int, service: str, quantity: int, *, charge_fen: int = 0, due_ms: int | None = None, **more: object
    ) -> Event:
        """Messages or data."""
        return self.write(
            "usage", at_ms, due_ms=due_ms, service=service, quantity=quantity, charge_fen=charge_fen, **more
        )

    def handset(self, at_ms: int, model: str, previous: str | None = None, *, due_ms: int | None = None) -> Event:
        """A change of handset."""
        return self.write(
            "handset-change",
            at_ms,
            due_ms=due_ms,
            device_model=model,
            previous_device_model=previous,
            capabilities=["4G", "5G", "VOLTE"],
        )

    def complaint(
        self, at_ms: int, complaint_id: str, state: str, topic: str = "NETWORK", *, due_ms: int | None = None
    ) -> Event:
        """A complaint or what became of it."""
        return self.write("complaint", at_ms, due_ms=due_ms, complaint_id=complaint_id, state=state, topic=topic)

    def line_status(self, at_ms: int, status: str, *, due_ms: int | None = None, expected: int | None = None) -> Event:
        """A state of the line."""
        return self.write("line-status", at_ms, due_ms=due_ms, status=status, suspension_expected_at=expected)

    def bill(self, at_ms: int, cycle: str, total_fen: int, *, due_ms: int | None = None, **fields: object) -> Event:
        """The bill of a month (`YYYY-MM`)."""
        fee = self.customer.plan_fee_fen
        return self.write("bill", at_ms, due_ms=due_ms, cycle=cycle, total_fen=total_fen, plan_fee_fen=fee, **fields)

    def order(self, at_ms: int, action: str, category: str, *, due_ms: int | None = None, **fields: object) -> Event:
        """A service order."""
        order_id = f"O-{self.prefix}-{self.customer.index}-{self.written}"
        return self.write(
            "service-order", at_ms, due_ms=due_ms, order_id=order_id, action=action, category=category, **fields
        )

    def inquiry(self, at_ms: int, inquiry_id: str, topic: str, state: str, *, due_ms: int | None = None) -> Event:
        """A question or what became of it."""
        return self.write(
            "inquiry", at_ms, due_ms=due_ms, inquiry_id=inquiry_id, topic=topic, channel="APP", state=state
        )

    def roaming(self, at_ms: int, country: str, state: str, *, due_ms: int | None = None) -> Event:
        """A landing or a departure."""
        zone = {"JP": "Asia/Tokyo", "TH": "Asia/Bangkok", "CN": "Asia/Shanghai"}[country]
        return self.write("roaming", at_ms, due_ms=due_ms, country=country, state=state, time_zone=zone)

    def profile(self, at_ms: int, *, due_ms: int | None = None, **changes: object) -> Event:
        """The customer record."""
        return self.write("customer", at_ms, due_ms=due_ms, **(customer_fields(self.customer) | changes))


def customer_fields(customer: Customer) -> Body:
    """The fields of a customer record as the customer-relations system sends them."""
    return {
        "city": customer.city,
        "segment": customer.segment,
        "tier": customer.tier,
        "brand": customer.brand,
        "plan_id": customer.plan_id,
        "plan_fee_fen": customer.plan_fee_fen,
        "plan_voice_seconds": customer.plan_voice_seconds,
        "plan_data_kib": 20 * 1024 * 1024,
        "plan_sms": 100,
        "area": f"{customer.city}-{customer.index % 7 + 1}",
        "joined_on": customer.joined_on,
        "birthday": customer.birthday,
        "birthday_calendar": customer.birthday_calendar if customer.birthday else None,
        "arpu_fen": customer.arpu_fen,
        "owner_manager_id": customer.owner_manager_id,
        "deputy_manager_id": customer.deputy_manager_id,
        "auto_pay": customer.auto_pay,
        "contract_ends_on": customer.contract_ends_on,
        "active_categories": list(customer.active_categories) or None,
        "agreed_channels": ["CALL", "SMS"],
        "quiet_windows": list(customer.quiet_windows) or None,
        "language": customer.language,
        "attributes": dict(customer.attributes) or None,
    }


def minutes_before(at_ms: int, minutes: float) -> int:
    """The instant so many minutes earlier."""
    return at_ms - round(minutes * local_time.MINUTE_MS)

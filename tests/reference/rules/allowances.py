"""FT7, AN9: the running month against what the plan includes."""

from tests.reference.episodes import Verdict, View, close_if_expired, settle_in_cycle
from tests.reference.findings import Condition, seen
from tests.reference.limits import percent_of
from tests.reference.local_time import DAY, HOUR, days, midnight, month_number, month_of, month_text
from tests.reference.memory import RunningMonth
from tests.reference.memory_of_bills import bill_before, newest_bill, plan_fee
from tests.reference.order import Record
from tests.reference.rules.bills import BillRule, end_of_month, plan_has_changed, plan_ordered_at


class FT7(BillRule):
    """The first 5 yuan outside the bundle after three cycles without."""

    id = "FT7"
    kinds = ("usage", "service-order")

    def judge(self, view: View) -> Verdict | None:
        """At usage; an order may end it."""
        episode, month, customer = self.episode(view), month_of(view.day), view.customer
        ends = None
        if view.kind == "service-order":
            if episode is None or not self.is_pack(view.record, episode.opened_at):
                return None
            ends = "pack_bought"
        charged = customer.month["out_of_bundle"].get(month, 0)
        before = sum(customer.month["out_of_bundle"].get(month - i, 0) for i in (1, 2, 3))
        before += sum(customer.bills[month - i]["out_of_bundle_fen"] for i in (1, 2, 3) if month - i in customer.bills)
        least = view.limit(self.id, "least_charge")
        return Verdict(
            name=month_text(month),
            cycle=month,
            fires=view.kind == "usage" and charged >= least and before == 0,
            ends=ends,
            expires=view.at - DAY if self.has_pack_since(view) else end_of_month(month),
            priority=3,
            channel="SMS",
            occurred=view.at,
            earliest=(view.at // HOUR + 1) * HOUR,
            evidence=[
                seen("month_out_of_bundle_fen", "fen", charged, None, least, view.layer(self.id, "least_charge")),
                seen("out_of_bundle_before_fen", "fen", before, None, 0),
            ],
        )

    def has_pack_since(self, view: View) -> bool:
        """True when a pack or plan was ordered after the event, and told before it."""
        return any(self.is_pack(each, view.at) for each in view.customer.orders)

    def is_pack(self, record: Record | None, after: int) -> bool:
        """True for an order of a pack or plan after what opened the moment."""
        assert record is not None
        is_order = record["action"] == "SUBSCRIBE" and record["category"] in ("DATA_PACK", "VOICE_PLAN")
        return is_order and record["occurred_at"] > after


class AN9(BillRule):
    """80 % and 100 % of an allowance used; charges outside the bundle of 30 % of the fee, or 30 yuan, on the bill."""

    id = "AN9"
    kinds = ("usage", "bill", "service-order")

    def at_event(self, view: View) -> None:
        """Each step by itself."""
        for step in ("80", "100", "bill"):
            verdict = self.step(view, step)
            if verdict is None:
                close_if_expired(view.customer.episodes.get((self.id, step)), view.at)
            else:
                settle_in_cycle(view, self.id, verdict)

    def step(self, view: View, step: str) -> Verdict | None:
        """What there is to say of a step at this event."""
        episode = self.episode(view, step)
        if view.kind == "service-order":
            return self.verdict(view, step, ends="plan_changed") if plan_has_changed(view, episode) else None
        if step == "bill":
            return self.verdict(view, step) if view.kind == "bill" else None
        return self.verdict(view, step) if view.kind == "usage" else None

    def verdict(self, view: View, step: str, ends: str | None = None) -> Verdict:
        """With the evidence of the bill, or of the running month."""
        bill = newest_bill(view.customer) if step == "bill" else None
        cycle = month_number(bill["cycle"]) if bill else month_of(view.day)
        holds = view.kind != "service-order" and (self.is_over(view, bill) if bill else self.is_reached(view, step))
        if view.kind == "bill" and bill is not None:
            ends = self.end_by_bill(view, bill, fires=holds, key=step)
        if view.kind == "usage" and step == "80" and self.most_used(view) >= view.limit(self.id, "full_percent"):
            ends = "next_step"
        channel = "SMS"
        if bill is not None:
            before = bill_before(view.customer, cycle)
            channel = "CALL" if before is not None and self.is_over(view, before, of=bill) else "SMS"
        return Verdict(
            key=step,
            name=f"{month_text(cycle)}/{step}",
            cycle=cycle,
            fires=holds and plan_ordered_at(view.customer) <= view.at,
            ends=ends,
            expires=midnight(view.day + days(36)) if bill else end_of_month(cycle),
            priority=3,
            channel=channel,
            occurred=view.at,
            evidence=self.evidence(view, step, bill, cycle),
        )

    def used(self, view: View) -> list[tuple[str, str, int, int]]:
        """What the running month has used of each allowance; 0 = no allowance, or none known."""
        running, profile = view.customer.running, view.profile
        if running.month != month_of(view.day):
            running = RunningMonth()
        return [
            ("used_voice_seconds", "seconds", running.voice_out, max(profile["plan_voice_seconds"] or 0, 0)),
            ("used_data_kib", "kib", running.data, max(profile["plan_data_kib"] or 0, 0)),
            ("used_sms", "count", running.sms_out, max(profile["plan_sms"] or 0, 0)),
        ]

    def most_used(self, view: View) -> float:
        """The greatest share of an allowance that is used, in percent."""
        return max((used * 100 / allowance for _, _, used, allowance in self.used(view) if allowance > 0), default=0)

    def is_reached(self, view: View, step: str) -> bool:
        """True when an allowance is used to the step, and to no greater one."""
        near, full = view.limit(self.id, "near_percent"), view.limit(self.id, "full_percent")
        return self.most_used(view) >= full if step == "100" else near <= self.most_used(view) < full

    def is_over(self, view: View, bill: Record, of: Record | None = None) -> bool:
        """True when a bill has too much outside the bundle, by the fee of that bill or of another one."""
        out, fee = bill["out_of_bundle_fen"], plan_fee(view.customer, of or bill)
        share = percent_of(view.limit(self.id, "over_percent"), fee)
        return bool(out >= view.limit(self.id, "over_fen") or (out > 0 and fee > 0 and out >= share))

    def evidence(self, view: View, step: str, bill: Record | None, cycle: int) -> list[Condition]:
        """Allowances, then what is outside the bundle."""
        name = "near_percent" if step == "80" else "full_percent"
        percent, layer = view.limit(self.id, name), view.layer(self.id, name)
        newest = newest_bill(view.customer)
        fee = plan_fee(view.customer, newest) if newest else view.profile["plan_fee_fen"] or 0
        before = bill_before(view.customer, cycle)
        out = bill["out_of_bundle_fen"] if bill else view.customer.month["out_of_bundle"].get(cycle, 0)
        return [
            *(
                seen(name, unit, used, allowance, percent_of(percent, allowance), layer)
                for name, unit, used, allowance in self.used(view)
            ),
            seen("month_or_bill_out_of_bundle_fen", "fen", out, fee, view.limit(self.id, "over_fen"),
                 view.layer(self.id, "over_fen")),
            seen("out_of_bundle_before_fen", "fen", before["out_of_bundle_fen"] if before else 0),
        ]  # fmt: skip

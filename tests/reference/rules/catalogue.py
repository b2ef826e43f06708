"""All rules that the reference knows, in the order of their ids."""

from tests.reference.rules import (
    allowances,
    bills,
    complaints,
    handsets,
    inquiries,
    line,
    money,
    orders,
    special,
    trends,
)
from tests.reference.rules.rule import Rule

CATALOGUE: tuple[Rule, ...] = tuple(
    sorted(
        (
            complaints.AN1(), bills.AN2(), trends.AN3(), money.AN4(), money.AN5(), bills.AN6(), trends.AN7(),
            trends.AN8(), allowances.AN9(), bills.AN10(), money.AN11(), trends.AN12(), trends.AN13(), inquiries.AN14(),
            orders.AN15(), special.AN16(), inquiries.AN17(), orders.FT1(), handsets.FT2(), orders.FT3(),
            inquiries.FT4(), inquiries.FT5(), bills.FT6(), allowances.FT7(), line.NS2(), special.SP1(), special.SP2(),
            special.SP3(),
        ),
        key=lambda rule: rule.id,
    )
)  # fmt: skip
"""28: NS1 is the router's."""
BY_ID = {rule.id: rule for rule in CATALOGUE}

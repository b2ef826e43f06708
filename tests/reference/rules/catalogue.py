"""All rules that the reference knows, in the order of their ids."""

from tests.reference.rules.complaints import AN1
from tests.reference.rules.handsets import FT2
from tests.reference.rules.line import NS2
from tests.reference.rules.money import AN4
from tests.reference.rules.rule import Rule
from tests.reference.rules.special import SP1
from tests.reference.rules.trends import AN7

CATALOGUE: tuple[Rule, ...] = tuple(
    sorted((AN1(), AN4(), AN7(), FT2(), NS2(), SP1()), key=lambda rule: rule.id)
)  # fmt: skip
BY_ID = {rule.id: rule for rule in CATALOGUE}

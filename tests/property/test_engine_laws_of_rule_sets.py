"""Laws of rule sets: layers, sets published in mid-stream, sets that hold from an instant on."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reference.local_time import DAY
from tests.reference.logs import MONDAY, compared, in_order, local, reference, run_engine, shipped_ids
from tests.reference.rule_sets import (
    as_shipped,
    both,
    filed_numbers,
    layered,
    log_with_rule_sets,
    stated_numbers,
    without,
)
from tests.reference.rules.catalogue import BY_ID

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def test_every_rule_that_is_judged_has_a_reference() -> None:
    assert shipped_ids() <= set(BY_ID)


def test_rule_files_state_the_numbers_of_the_reference() -> None:
    """By name and value; so a threshold cannot change in one place alone."""
    assert filed_numbers(shipped_ids()) == stated_numbers(shipped_ids())


@few
@given(seed=SEEDS, layers=st.integers(0, 2))
def test_numbers_of_cities_and_segments_hold_for_their_customers(seed: int, layers: int) -> None:
    compiled, stated = both([layered(layers)])
    log = log_with_rule_sets(seed, 1, events=600, customers=6)
    moments, _ = run_engine(log, rules=compiled)
    assert compared(moments) == in_order(reference(log, stated))


@few
@given(seed=SEEDS)
def test_a_rule_set_published_in_mid_stream_holds_from_its_tick_on(seed: int) -> None:
    rng = random.Random(seed)
    fewer = without(frozenset({"AN4", "FT2", "SP1"}))
    compiled, stated = both([as_shipped(), layered(rng.randrange(3)), fewer, layered(rng.randrange(3))])
    log = log_with_rule_sets(seed, 4, events=800, customers=6)
    cuts = sorted(rng.sample(range(len(log)), 5))
    moments, _ = run_engine(log, splits=cuts, rules=compiled)
    assert compared(moments) == in_order(reference(log, stated))


@few
@given(seed=SEEDS)
def test_a_rule_set_holds_for_what_happened_after_it_became_effective(seed: int) -> None:
    """Announced before that, or long after; until then the set before holds, or none."""
    rng = random.Random(seed)
    first, second = (local(MONDAY) + rng.randrange(-7, 40) * DAY for _ in range(2))
    compiled, stated = both([layered(0, first), layered(1, second), without(frozenset({"AN1"}), second)])
    log = log_with_rule_sets(seed, 3, events=800, customers=6)
    moments, _ = run_engine(log, rules=compiled)
    assert compared(moments) == in_order(reference(log, stated))


@pytest.mark.parametrize("seed", [5, 6])
def test_layers_are_told_in_the_evidence(seed: int) -> None:
    compiled, _ = both([layered(1)])
    moments, _ = run_engine(log_with_rule_sets(seed, 1, events=8000, customers=30), rules=compiled)
    told = {each["layer"] for moment in moments for each in moment["evidence"]}
    assert {"PROVINCE", "CITY", "SEGMENT"} <= told

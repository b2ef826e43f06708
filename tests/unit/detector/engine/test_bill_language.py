"""What a rule about cycles, contracts and festivals may not say, each with its place."""

import pytest

from services.detector.engine.errors import RuleError
from services.detector.engine.language.located import read_document
from services.detector.engine.language.rules import read_rule
from tests.reference.logs import shipped_documents

REFUSED = {
    "steps_of_days": ("an13", "episode: day", "episode: day\nsteps: [a]", "only cycles and contracts have steps"),
    "contract_without_steps": ("an16", 'steps: ["60", "30", "7"]', "steps: []", "unknown name step"),
    "cycle_with_cool_down": ("an6", "episode: cycle", "episode: cycle\ncool_down_days: 3", "no other cool-down"),
    "cycle_rearms": ("an6", "episode: cycle", "episode: cycle\nrearm: total > 5", "a cycle is raised once"),
    "cycle_of_calendar": ("sp3", "episode: day", "episode: cycle", "calendar rules have the episodes"),
    "festival_with_row": ("sp2", "row: none", "row: kept", "festivals keep no row"),
    "rowless_with_end": (
        "sp3", "row: none", "row: none\nresolve: [{when: auto_pay, as: x}]", "may do without a row",
    ),
    "rowless_with_cool_down": ("sp3", "row: none", "row: none\ncool_down_days: 3", "may do without a row"),
    "memory_of_bills": ("an6", "episode: cycle", "episode: cycle\nremembers: auto_pay", "only rules of every monday"),
    "no_truth": ("sp2", "bulk: true", "bulk: maybe", "want true or false"),
    "unknown_bill": ("an6", "{bills: total_fen, cycles: 0", "{bills: roaming_fen, cycles: 0", "is not kept"),
    "too_many_cycles": ("an6", "total_fen, cycles: 3", "total_fen, cycles: 4", "from 0 to 3"),
    "before_what": ("an6", "cycles: 3, before: bill", "cycles: 3, before: week", "want one of bill, month"),
    "too_many_months": ("ft7", "months: 3}", "months: 5}", "from 0 to 4"),
    "unknown_ring": ("ft7", "{month_sum: out_of_bundle_fen, months: 3}", "{month_sum: fen, months: 3}", "is not kept"),
    "unknown_event": ("ft7", "fire: this_month", "fire: event = 'phone' AND this_month", "is no such word"),
    "unknown_step": ("an9", "step = '80' THEN near", "step = '81' THEN near", "is no such word"),
    "festival_elsewhere": ("sp3", "fire: anniv", "fire: festival_at > 0 AND anniv", "unknown name"),
    "row_elsewhere": ("an13", "fire: four", "fire: opened_at > 0 AND four", "unknown name"),
    "every_year": ("an12", "every: month", "every: year", "want one of day, monday, month"),
    "order_of_nothing": ("ft7", "[DATA_PACK, VOICE_PLAN]", "[SHOES]", "is no such word"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused(case: str) -> None:
    name, was, wrong, reason = REFUSED[case]
    path = f"rules/{name}.yaml"
    text = shipped_documents()[path]
    assert was in text
    with pytest.raises(RuleError, match=reason) as refused:
        read_rule(read_document(path, text.replace(was, wrong, 1)))
    assert path in str(refused.value)

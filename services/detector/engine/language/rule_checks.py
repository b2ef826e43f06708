"""What does not go together in a rule, although each field by itself is right."""

from collections.abc import Sequence, Set
from typing import Any

from services.detector.engine.customer.findings import TEXTS_MAX
from services.detector.engine.language.located import Document, Path, checked_keys, checked_text
from services.detector.engine.language.rule_forms import (
    BY_COMPLAINT,
    BY_CONTRACT,
    BY_CYCLE,
    BY_DAY,
    BY_EVENT,
    BY_FESTIVAL,
    BY_LINE,
    CALENDAR_EPISODES,
    LANGUAGES,
    PLACEHOLDER,
    STEP_BITS,
    Rule,
    Told,
)
from services.detector.engine.log_format import wire


def check_rule(rule: Rule, document: Document, used: Set[str]) -> None:
    """Refuse what does not go together; raises RuleError at the field at fault. used: names in its expressions."""
    texts = max(sum(e.observed_text is not None for e in told) for told in (rule.evidence, rule.resolved_evidence))
    if texts + sum(t.value.type == "text" for t in rule.tells) > TEXTS_MAX:
        raise document.error(("evidence",), f"more than {TEXTS_MAX} texts")
    if (rule.slot is not None) != (rule.episode in CALENDAR_EPISODES):
        raise document.error(("episode",), f"calendar rules have the episodes {', '.join(CALENDAR_EPISODES)}")
    _check_times(rule, document)
    _check_memory(rule, document)
    if rule.tells_history and rule.episode not in (BY_LINE, BY_COMPLAINT):
        raise document.error(("history",), "only what is kept of a line or a complaint can be told after loading")
    _check_messages(rule, document)
    layers = {each.layer for each in (*rule.evidence, *rule.resolved_evidence)}
    for name in rule.parameters:
        if name not in used | layers:
            raise document.key_error(("parameters", name), f"nothing uses {name}: use it or take it out")


def checked_labels(document: Document, path: Path, given: Any, words: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the labels of words of an enum, by word and language."""
    checked_keys(document, path, given, dict.fromkeys(words, False))
    for word, labels in given.items():
        checked_keys(document, (*path, word), labels, dict.fromkeys(LANGUAGES, True))
        for language, label in labels.items():
            checked_text(document, (*path, word, language), label)
    return dict(given)


def _check_messages(rule: Rule, document: Document) -> None:
    """Refuse sentences that name what is not told."""
    known = {name for told in rule.tells for name in _names_of(told)}
    for language, message in rule.messages.items():
        for key, text in vars(message).items():
            for name in PLACEHOLDER.findall(text):
                if name not in known:
                    problem = f"{{{name}}} is not told; told are {', '.join(sorted(known))}"
                    raise document.error(("messages", language, key), problem)


def _check_times(rule: Rule, document: Document) -> None:
    """Refuse what does not go together about when a rule is judged."""
    if rule.wait_hours and (rule.kinds != (wire.ORDER,) or rule.episode != BY_EVENT or rule.also is not None):
        raise document.error(("wait_hours",), "only rules on service-order alone, with the episode event, can wait")
    if rule.also is not None and (rule.slot is not None or rule.episode != BY_EVENT):
        raise document.error(("also",), "only immediate rules with the episode event are judged at hours as well")
    if rule.count_when is not None and (rule.slot is not None or not rule.resolve_on or rule.keep is not None):
        raise document.error(("count_when",), "counts at resolve_on of immediate rules, in the place of keep")
    if rule.episode == BY_COMPLAINT and (rule.kinds != (wire.COMPLAINT,) or rule.resolve_on):
        raise document.error(("episode",), "rules with an episode per complaint listen to complaints and nothing else")
    if rule.slot is None and set(rule.resolve_on) & set(rule.kinds):
        raise document.error(("resolve_on",), "what a rule listens to may end its moments anyhow")


def _check_memory(rule: Rule, document: Document) -> None:
    """Refuse what a rule's episode cannot have."""
    if rule.steps and (rule.episode not in (BY_CYCLE, BY_CONTRACT) or len(rule.steps) > 1 << STEP_BITS):
        raise document.error(("steps",), f"only cycles and contracts have steps, at most {1 << STEP_BITS}")
    if rule.episode == BY_CONTRACT and not rule.steps:
        raise document.error(("steps",), "the episode contract wants steps, such as [60, 30, 7]")
    if rule.episode == BY_CYCLE and (rule.rearm or rule.watched or rule.recheck_at or rule.count_when):
        raise document.error(("episode",), "a cycle is raised once: no rearm, tell_again_when, recheck_at, count_when")
    may_do_without = rule.slot is not None and rule.episode in (BY_DAY, BY_FESTIVAL)
    if not rule.keeps_row and (not may_do_without or rule.resolutions or rule.cool_down_days):
        raise document.error(("row",), "only days and festivals that nothing ends or cools down may do without a row")
    if rule.episode == BY_FESTIVAL and rule.keeps_row:
        raise document.error(("row",), "festivals keep no row: want none")
    if rule.remembers is not None and (rule.slot is None or rule.slot.every != "monday" or not rule.keeps_row):
        raise document.error(("remembers",), "only rules of every monday remember when their condition held")


def _names_of(told: Told) -> list[str]:
    """The names under which sentences find a parameter: itself, and per language where it has labels."""
    return [told.name, *(f"{told.name}_{language}" for language in LANGUAGES if told.labels)]

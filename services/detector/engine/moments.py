"""A finding of the compiled rules → a moment, field by field as in moment.v1.avsc. Pure: the same finding, the same
moment."""

import hashlib
import math
import uuid
from collections.abc import Mapping
from typing import Any

from schemas.cities import CITIES, SEGMENTS
from services.detector.engine.customer import calendars
from services.detector.engine.customer import findings as f
from services.detector.engine.customer.festivals import FESTIVALS
from services.detector.engine.language.parameters import LAYERS, row_of
from services.detector.engine.language.rule_forms import (
    BY_COMPLAINT,
    BY_CONTRACT,
    BY_CYCLE,
    BY_DAY,
    BY_EVENT,
    BY_FESTIVAL,
    CHANNELS,
    LANGUAGES,
    NEVER_MS,
    STEP_BITS,
    STEP_MASK,
    Evidence,
    Rule,
    Told,
)
from services.detector.engine.risk import RiskCard
from services.detector.records.decode import TIERS

MOMENTS = uuid.UUID("6f0f6c2e-5b1d-5f63-9a3e-0f8a4f5d2c11")
"""Namespace of moment ids; never changes, or every moment would be another one."""
_NAMESPACE = MOMENTS.bytes
_UUID_BITS, _UUID_5 = ~(0xF000 << 64 | 0xC000 << 48), 5 << 76 | 0x8000 << 48
"""uuid5 without its objects: the bits of a SHA-1 that stay, and version and variant."""
STATES = ("UNKNOWN", "RAISED", "UPDATED", "RESOLVED")
ARPU_LOW_FEN, ARPU_HIGH_FEN = 5_000, 50_000
PRIORITIES = 5
_SHOWN_MAX = 1e18
_MASK64 = (1 << 64) - 1
_CITY_CODES = ("", *CITIES)
_SEGMENT_CODES = ("", *SEGMENTS)
_CALL = CHANNELS.index("CALL")


def moment_id(customer_id: int, rule_id: str, episode: str) -> str:
    """Return the id of a moment: the same for every revision, whoever computes it."""
    digest = hashlib.sha1(_NAMESPACE + f"{customer_id}|{rule_id}|{episode}".encode(), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:16], "big") & _UUID_BITS | _UUID_5
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def episode_text(rule: Rule, key: int, key_at: int) -> str:
    """Return what names the episode: the day, the complaint, or the event by its instant and the hash of its
    identity."""
    if rule.episode == BY_DAY or (rule.episode == BY_EVENT and key_at == 0):
        return calendars.date_text(key)
    if rule.episode in (BY_CYCLE, BY_CONTRACT):
        number = key >> STEP_BITS
        name = month_text(number) if rule.episode == BY_CYCLE else calendars.date_text(number)
        return f"{name}/{rule.steps[key & STEP_MASK]}" if rule.steps else name
    if rule.episode == BY_FESTIVAL:
        return f"{FESTIVALS[key & STEP_MASK]}-{calendars.date_of(key >> STEP_BITS).year}"
    if rule.episode == BY_COMPLAINT:
        return f"complaint:{key & _MASK64:016x}"
    return f"{key_at}:{key & _MASK64:016x}"


def make_moment(
    rule: Rule, card: RiskCard, version: str, row: Any, numbers: Any, texts: Mapping[int, str]
) -> dict[str, Any]:
    """Return the moment of one row of findings. row: its integers; numbers: risk inputs, then what the rule tells."""
    values: list[int] = row.tolist()
    figures: list[float] = numbers.tolist()
    score, terms = card.score(figures[f.FIRST_RISK : f.FIRST_RISK + len(card.terms)])
    teller = _Teller(rule, values, figures, texts)
    state = STATES[values[f.STATE]]
    evidence = [teller.evidence(each) for each in rule.evidence_of(state)]
    parameters: dict[str, str] = {}
    for told in rule.tells:
        parameters.update(teller.parameter(told))
    episode = episode_text(rule, values[f.KEY], values[f.KEY_AT])
    return {
        "moment_id": moment_id(values[f.CUSTOMER], rule.id, episode),
        "revision": values[f.REVISION],
        "customer_id": values[f.CUSTOMER],
        "rule_id": rule.id,
        "rule_version": version,
        "moment_class": rule.class_,
        "dimension": rule.dimension,
        "group": rule.group,
        "state": state,
        "resolution": rule.resolutions[values[f.RESOLUTION] - 1].code if state == "RESOLVED" else None,
        "priority": min(max(_priority(rule, values[f.PRIORITY], score), 1), PRIORITIES),
        "channel": _channel(rule, values[f.CHANNEL], score),
        "episode": episode,
        "nominal_date": values[f.NOMINAL_DAY],
        "occurred_at": values[f.OCCURRED],
        "detected_at": values[f.DETECTED],
        "earliest_contact_at": values[f.EARLIEST] if 0 < values[f.EARLIEST] <= NEVER_MS else None,
        "expires_at": values[f.EXPIRES],
        "history": bool(values[f.HISTORY]),
        **_basics(values, texts),
        "risk_score": score,
        "risk_version": card.version,
        "risk_terms": terms,
        "evidence": evidence,
        "parameters": parameters,
        "message_key": rule.id,
        "supersedes": list(rule.supersedes),
        "observation_days": rule.observation_days,
    }


def month_text(number: int) -> str:
    """Return a month as `YYYY-MM`."""
    return f"{2000 + number // 12}-{number % 12 + 1:02d}"


def _priority(rule: Rule, priority: int, score: float) -> int:
    is_urgent = rule.urgent_from_risk is not None and score >= rule.urgent_from_risk
    return max(priority - 1, 1) if is_urgent else priority


def _channel(rule: Rule, channel: int, score: float) -> str:
    if rule.call_from_risk is not None and score >= rule.call_from_risk:
        channel = _CALL
    return CHANNELS[channel]


def _basics(values: list[int], texts: Mapping[int, str]) -> dict[str, Any]:
    codes, has_view = values[f.F_CODES], bool(values[f.HAS_VIEW])
    city, segment = codes & 0xFF, codes >> 8 & 0xFF
    return {
        "city": _CITY_CODES[city] if city < len(_CITY_CODES) else "",
        "segment": _SEGMENT_CODES[segment] if segment < len(_SEGMENT_CODES) else "",
        "tier": TIERS[codes >> 16 & 15],
        "brand": texts.get(values[f.F_BRAND], ""),
        "arpu_band": _arpu_band(values[f.F_ARPU] if has_view else -1),
        "owner_manager_id": texts.get(values[f.F_OWNER]),
        "deputy_manager_id": texts.get(values[f.F_DEPUTY]),
    }


def _arpu_band(fen: int) -> str:
    if fen < 0:
        return "UNKNOWN"
    if fen < ARPU_LOW_FEN:
        return "BELOW_50_YUAN"
    return "FROM_50_TO_500_YUAN" if fen <= ARPU_HIGH_FEN else "ABOVE_500_YUAN"


class _Teller:
    """Takes numbers and texts in the order in which the generated code wrote them."""

    def __init__(self, rule: Rule, values: list[int], numbers: list[float], texts: Mapping[int, str]) -> None:
        self._rule = rule
        self._row = row_of(values[f.F_CODES])
        self._numbers = iter(numbers)
        self._texts = iter([texts.get(key, "") for key in values[f.FIRST_TEXT :]])

    def evidence(self, evidence: Evidence) -> dict[str, Any]:
        """One entry of the evidence."""
        observed = finite(next(self._numbers)) if evidence.observed is not None else None
        baseline = finite(next(self._numbers)) if evidence.baseline is not None else None
        threshold = finite(next(self._numbers)) if evidence.threshold is not None else None
        by = evidence.layer
        if evidence.layer_by is not None:
            by = evidence.layer_by.words[int(next(self._numbers))]
        text = None
        if evidence.observed_text is not None:
            text = self._text(evidence.observed_text.type, evidence.observed_text.words)
        layer = "NONE"
        if by:
            layer = LAYERS[int(self._rule.parameters[by].layers[self._row])]
        return {
            "name": evidence.name,
            "observed": observed,
            "observed_text": text,
            "baseline": baseline,
            "threshold": threshold,
            "unit": evidence.unit,
            "layer": layer,
        }

    def parameter(self, told: Told) -> dict[str, str]:
        """One parameter of the sentence; words with labels also in each language."""
        if told.value.type in ("text", "enum"):
            word = self._text(told.value.type, told.value.words)
            labels = told.labels.get(word, {})
            return {told.name: word} | (
                {f"{told.name}_{language}": labels.get(language, word) for language in LANGUAGES} if told.labels else {}
            )
        return {told.name: formatted(next(self._numbers), told.format)}

    def _text(self, type_: str, words: tuple[str, ...]) -> str:
        return next(self._texts) if type_ == "text" else words[int(next(self._numbers))]


def finite(value: float) -> float | None:
    """Return a number that evidence may tell; None for what is no number."""
    return value if math.isfinite(value) else None


def formatted(value: float, format_: str) -> str:
    """Return a number as sentences show it; `?` for what is no number, or no date."""
    most = NEVER_MS if format_ in ("date", "time") else _SHOWN_MAX
    if not abs(value) <= most:
        return "?"
    if format_ == "yuan":
        fen = round(value)
        return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"
    if format_ == "megabytes":
        return str(round(value) // 1024)
    if format_ == "month":
        return month_text(int(value))
    if format_ == "minutes":
        return str(round(value) // 60)
    if format_ == "hours":
        return str(math.ceil(value))
    if format_ == "date":
        return calendars.local_text(int(value))[:10]
    if format_ == "time":
        return calendars.local_text(int(value))
    return str(round(value))

"""A rule file → a checked `Rule`: every expression typed, every name known, every field where it belongs."""

import re
from collections.abc import Mapping
from typing import Any

from services.detector.engine import wire
from services.detector.engine.calendars import EVERY, Slot
from services.detector.engine.expressions import Typed, compile_expression
from services.detector.engine.fact_forms import ANY, CALENDAR, OF_USAGE, BadFeature
from services.detector.engine.facts import FACTS, feature
from services.detector.engine.located import Document, Path, checked_keys
from services.detector.engine.parameters import read_parameters
from services.detector.engine.rule_checks import check_rule
from services.detector.engine.rule_forms import (
    BY_CYCLE,
    CASE_OF_EPISODE,
    CASE_OF_KIND,
    CHANNELS,
    CLASSES,
    CLOCK,
    COOL_DAYS_MAX,
    CYCLE_KEPT_DAYS,
    DIMENSIONS,
    EPISODES,
    FIELDS,
    FORMATS,
    GROUPS,
    LANGUAGES,
    NEVER_MS,
    OBSERVED_DAYS_MAX,
    RULE_ID,
    TELLING_KINDS,
    WAIT_HOURS_MAX,
    Also,
    Evidence,
    Message,
    Resolution,
    Rule,
    Told,
)


def rule_code(rule_id: str) -> int:
    """Return a rule id as a number below 2^31: base 37, at most six letters and digits."""
    code = 0
    for letter in rule_id[:6]:
        code = code * 37 + "0ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789".find(letter) + 1
    return code % (2**31)


def read_rule(document: Document) -> Rule:
    """Check a rule document; raises RuleError at the first thing that is wrong."""
    return _Reader(document).rule()


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._given = document.value
        self._names: dict[str, Typed] = {}
        self._calendar_names: set[str] = set()
        checked_keys(document, (), self._given, FIELDS)
        self._slot = self._read_slot()
        self._episode = self._word("episode", EPISODES)
        self._steps = tuple(str(each) for each in self._list("steps"))
        self._expires_at: Typed | None = None

    def rule(self) -> Rule:
        """Read field by field; what expressions may name grows on the way."""
        given = self._given
        rule_id = str(given["id"])
        if not RULE_ID.fullmatch(rule_id):
            raise self._error(("id",), "want 2 to 6 capital letters and digits, such as AN4")
        kinds = self._kinds("on")
        if (self._slot is None) != bool(kinds):
            raise self._error(("on",), "immediate rules name the kinds of events they listen to; others do not")
        parameters = read_parameters(self._document)
        self._learn_facts()
        for name, parameter in parameters.items():
            self._learn(name, Typed(f"p_{name}", "number", parameter.unit), ("parameters", name))
        features = self._read_features()
        keep = self._optional("keep", "number")
        self._names["kept"] = Typed("np.float64(kept)", "number", keep.unit if keep else "")
        rule = Rule(
            id=rule_id,
            code=rule_code(rule_id),
            class_=self._word("class", CLASSES),
            dimension=self._word("dimension", DIMENSIONS),
            group=self._word("group", GROUPS),
            slot=self._slot,
            kinds=kinds,
            also=self._read_also(),
            wait_hours=self._integer("wait_hours", 0, WAIT_HOURS_MAX),
            count_when=self._optional("count_when", "boolean"),
            needs_profile=self._word("profile", ("required", "none"), "required") == "required",
            episode=self._episode,
            tells_history=self._word("history", ("silent", "still_open"), "silent") == "still_open",
            observed_days=self._integer("observed_days", 0, 400),
            parameters=parameters,
            features=features,
            fire=self._expression(("fire",), given["fire"], "boolean", in_fire=True),
            rearm=self._optional("rearm", "boolean"),
            resolutions=self._read_resolutions(),
            resolve_on=self._kinds("resolve_on"),
            cool_down_days=self._cool_down(),
            keep=keep,
            expires=self._read_expires(),
            priority=self._expression(("priority",), given["priority"], "number"),
            channel=self._expression(("channel",), given["channel"], "enum", words=CHANNELS),
            call_from_risk=float(given["call_from_risk"]) if "call_from_risk" in given else None,
            earliest=self._optional("earliest_contact", "number"),
            recheck_at=self._optional("recheck_at", "number"),
            watched=tuple(
                self._expression(("tell_again_when", i), text, None)
                for i, text in enumerate(self._list("tell_again_when"))
            ),
            occurred=self._optional("occurred", "number"),
            supersedes=tuple(str(each) for each in self._list("supersedes")),
            observation_days=self._integer("observation_days", 7, 400),
            evidence=self._read_evidence("evidence"),
            resolved_evidence=self._read_evidence("resolved_evidence"),
            tells=self._read_tells(),
            messages=self._read_messages(),
            expires_at=self._expires_at,
            steps=self._steps,
            bulk=self._truth("bulk"),
            keeps_row=self._word("row", ("kept", "none"), "kept") == "kept",
            remembers=self._truth("remembers"),
            ends_at_hour="hour" in self._list("resolve_on"),
            warm=self._optional("warm", "boolean"),
            urgent_from_risk=float(given["urgent_from_risk"]) if "urgent_from_risk" in given else None,
        )
        check_rule(rule, self._document)
        return rule

    def _cool_down(self) -> int:
        if self._episode != BY_CYCLE:
            return self._integer("cool_down_days", 0, COOL_DAYS_MAX)
        if "cool_down_days" in self._given:
            raise self._error(("cool_down_days",), "a cycle is raised once; it has no other cool-down")
        return CYCLE_KEPT_DAYS

    def _truth(self, key: str) -> bool:
        value = self._given.get(key, False)
        if not isinstance(value, bool):
            raise self._error((key,), "want true or false")
        return value

    def _learn_facts(self) -> None:
        if self._steps:
            self._names["step"] = Typed("np.int64(step)", "enum", words=self._steps)
        cases = self._cases()
        for name, fact in FACTS.items():
            if fact.where not in (ANY, CALENDAR, *cases):
                continue
            if fact.where == CALENDAR:
                if self._slot is None:
                    continue
                self._calendar_names.add(name)
            self._names[name] = fact.typed

    def _cases(self) -> list[str]:
        """Return whose facts exist here: of the complaint or handset, or of the events where all that have some are of
        one kind; of usage that may end the moment."""
        found = [case for episode, case in CASE_OF_EPISODE.items() if episode == self._episode]
        if self._slot is None:
            told = [kind for kind in self._kinds("on") if kind in TELLING_KINDS]
            found += [CASE_OF_KIND[kind] for kind in told if len(told) == 1 and kind in CASE_OF_KIND]
            found += [OF_USAGE] if wire.USAGE in self._kinds("resolve_on") else []
        return found

    def _learn(self, name: str, typed: Typed, path: Path) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise self._error(path, f"{name} is no name: want small letters, digits and _")
        if name in self._names or name == "kept":
            raise self._error(path, f"{name} is already the name of something else")
        self._names[name] = typed

    def _read_features(self) -> dict[str, Typed]:
        """Return the features; each becomes a local variable of the compiled rule."""
        found: dict[str, Typed] = {}
        for name, given in self._mapping("features").items():
            path = ("features", name)
            if isinstance(given, str):
                typed = self._expression(path, given, None)
            elif isinstance(given, dict):
                try:
                    typed = feature(given, rule_code)
                except BadFeature as bad:
                    raise self._error((*path, bad.key) if bad.key else path, bad.message) from None
            else:
                raise self._error(path, "want an aggregate such as {sum: voice_seconds, days: 7}, or an expression")
            self._learn(name, Typed(f"f_{name}", typed.type, typed.unit, typed.words), path)
            found[name] = typed
        return found

    def _read_resolutions(self) -> tuple[Resolution, ...]:
        found = []
        for i, given in enumerate(self._list("resolve")):
            path = ("resolve", i)
            self._keys(path, given, {"when": True, "as": True})
            found.append(Resolution(self._expression((*path, "when"), given["when"], "boolean"), str(given["as"])))
        return tuple(found)

    def _read_evidence(self, field_: str) -> tuple[Evidence, ...]:
        return tuple(self._read_condition((field_, i), each) for i, each in enumerate(self._list(field_)))

    def _read_condition(self, path: Path, given: Any) -> Evidence:
        keys = {"name": True, "unit": True, "observed": False, "text": False, "baseline": False, "threshold": False}
        self._keys(path, given, {**keys, "layer": False})
        layer = str(given.get("layer", ""))
        if layer and layer not in self._mapping("parameters"):
            raise self._error((*path, "layer"), f"{layer} is not a parameter of this rule")

        def part(key: str, type_: str) -> Typed | None:
            return self._expression((*path, key), given[key], type_) if key in given else None

        return Evidence(
            name=str(given["name"]),
            unit=str(given["unit"]),
            observed=part("observed", "number"),
            observed_text=self._expression((*path, "text"), given["text"], None) if "text" in given else None,
            baseline=part("baseline", "number"),
            threshold=part("threshold", "number"),
            layer=layer,
        )

    def _read_tells(self) -> tuple[Told, ...]:
        found = []
        for name, given in self._mapping("tells").items():
            path = ("tells", name)
            self._keys(path, given, {"value": True, "as": False, "labels": False})
            value = self._expression((*path, "value"), given["value"], None)
            default = {"text": "word", "enum": "word"}.get(value.type, "count")
            format_ = str(given.get("as", default))
            if format_ not in FORMATS:
                raise self._error((*path, "as"), f"want one of {', '.join(FORMATS)}")
            labels = given.get("labels", {})
            for word in labels:
                if word not in value.words:
                    raise self._error((*path, "labels", word), f"{word} is no such word: {', '.join(value.words)}")
            found.append(Told(name, value, format_, labels))
        return tuple(found)

    def _read_messages(self) -> dict[str, Message]:
        given = self._mapping("messages")
        checked_keys(self._document, ("messages",), given, dict.fromkeys(LANGUAGES, True))
        found = {}
        for language in LANGUAGES:
            path = ("messages", language)
            self._keys(path, given[language], {"title": True, "why_now": True, "what_to_say": True})
            found[language] = Message(**{key: str(text) for key, text in given[language].items()})
        return found

    def _read_slot(self) -> Slot | None:
        given = self._given["cadence"]
        if given == "immediate":
            return None
        return self._read_slot_of(("cadence",), given)

    def _read_slot_of(self, path: Path, given: Any) -> Slot:
        self._keys(path, given, {"every": True, "at": True})
        if given["every"] not in EVERY:
            raise self._error((*path, "every"), f"want one of {', '.join(EVERY)}")
        clock = CLOCK.fullmatch(str(given["at"]))
        if clock is None:
            raise self._error((*path, "at"), 'want a local time such as "06:00"')
        return Slot(int(clock[1]) * 60 + int(clock[2]), given["every"])

    def _read_also(self) -> Also | None:
        if "also" not in self._given:
            return None
        given, path = self._given["also"], ("also",)
        self._keys(path, given, {"cadence": True, "fire": True, "observed_days": False})
        self._keys((*path, "cadence"), given["cadence"], {"every": True, "at": False})
        days = given.get("observed_days", 0)
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= OBSERVED_DAYS_MAX:
            raise self._error((*path, "observed_days"), f"want an integer from 0 to {OBSERVED_DAYS_MAX}")
        is_hourly = given["cadence"]["every"] == "hour"
        if is_hourly:
            slots = tuple(Slot(60 * hour, "day") for hour in range(24))
        else:
            slots = (self._read_slot_of((*path, "cadence"), given["cadence"]),)
        return Also(slots, self._expression((*path, "fire"), given["fire"], "boolean"), days, is_hourly)

    def _read_expires(self) -> str:
        """Return the code of the instant: the end of the n-th day after, some hours after, or never."""
        given = self._given["expires"]
        if given == "never":
            return f"np.int64({NEVER_MS})"
        if isinstance(given, dict) and list(given) == ["at"]:
            self._expires_at = self._expression(("expires", "at"), given["at"], "number")
            return f"np.int64({self._expires_at.code})"
        self._keys(("expires",), given, {"days": False, "hours": False})
        if len(given) != 1 or not isinstance(next(iter(given.values())), int):
            raise self._error(("expires",), "want never, {days: n}, {hours: n} or {at: instant}")
        if "days" in given:
            return f"((day + {int(given['days']) + 1}) * 86_400_000 - TZ_MS)"
        return f"(np.int64(at) + {int(given['hours'])} * 3_600_000)"

    def _kinds(self, key: str) -> tuple[int, ...]:
        found = []
        for i, name in enumerate(self._list(key)):
            if name == "hour" and key == "resolve_on" and self._slot is not None:
                continue
            if name not in wire.KINDS:
                raise self._error((key, i), f"{name} is no kind of event; kinds are {', '.join(wire.KINDS)}")
            found.append(wire.KINDS[name])
        return tuple(found)

    def _expression(
        self, path: Path, text: Any, type_: str | None, *, words: tuple[str, ...] = (), in_fire: bool = False
    ) -> Typed:
        if not isinstance(text, str | int | float) or isinstance(text, bool):
            raise self._error(path, "want an expression")
        names = self._names
        if not in_fire:
            names = {name: typed for name, typed in names.items() if name not in self._calendar_names}
        found = compile_expression(
            str(text), names, error=lambda message, column: self._document.error(path, message, column), words=words
        )
        if type_ is not None and found.type != type_:
            raise self._error(path, f"this is a {found.type}; a {type_} is wanted")
        if found.type == "word":
            raise self._error(path, f"'{found.code}' is not a word of any enum here")
        return found

    def _optional(self, key: str, type_: str) -> Typed | None:
        return self._expression((key,), self._given[key], type_) if key in self._given else None

    def _word(self, key: str, words: tuple[str, ...], default: str = "") -> str:
        value = self._given.get(key, default)
        if value not in words:
            raise self._error((key,), f"want one of {', '.join(words)}")
        return str(value)

    def _integer(self, key: str, default: int, most: int) -> int:
        value = self._given.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self._error((key,), f"want an integer from 0 to {most}")
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._given.get(key, [])
        if not isinstance(value, list):
            raise self._error((key,), "want a list")
        return value

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self._given.get(key, {})
        if not isinstance(value, dict):
            raise self._error((key,), "want a mapping")
        return value

    def _keys(self, path: Path, given: Any, allowed: Mapping[str, bool]) -> None:
        if not isinstance(given, dict):
            raise self._error(path, f"want a mapping with {', '.join(allowed)}")
        checked_keys(self._document, path, given, allowed)

    def _error(self, path: Path, message: str) -> Exception:
        return self._document.error(path, message)

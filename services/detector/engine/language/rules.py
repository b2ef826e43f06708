"""A rule file → a checked `Rule`: every expression typed, every name known, every field where it belongs."""

import re
from collections.abc import Mapping
from typing import Any

from services.detector.engine.customer.calendars import EVERY, Slot
from services.detector.engine.language.expressions import PURE, Typed, compile_expression
from services.detector.engine.language.fact_forms import ANY, CALENDAR, OF_USAGE, BadFeature
from services.detector.engine.language.facts import FACTS, feature
from services.detector.engine.language.located import (
    Document,
    Path,
    checked_keys,
    checked_message,
    checked_number,
    checked_text,
)
from services.detector.engine.language.parameters import read_parameters
from services.detector.engine.language.rule_checks import check_rule, checked_labels
from services.detector.engine.language.rule_forms import (
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
    EXPIRES_MAX,
    FIELDS,
    FORMATS,
    GROUPS,
    LANGUAGES,
    NEVER_MS,
    OBSERVED_DAYS_MAX,
    PRIORITIES,
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
from services.detector.engine.log_format import wire


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
        self._steps = tuple(str(each) for each in self._words("steps"))
        self._expires_at: Typed | None = None
        self._used: set[str] = set()  # names that expressions refer to

    def rule(self) -> Rule:
        """Read field by field; what expressions may name grows on the way."""
        given = self._given
        rule_id = str(given["id"])
        if not RULE_ID.fullmatch(rule_id):
            raise self._error(("id",), "want 2 to 6 capital letters and digits, such as AN4")
        checked_text(self._document, ("description",), given["description"])
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
            priority=self._read_priority(),
            channel=self._expression(("channel",), given["channel"], "enum", words=CHANNELS),
            call_from_risk=self._risk("call_from_risk"),
            earliest=self._optional("earliest_contact", "number"),
            recheck_at=self._optional("recheck_at", "number"),
            watched=tuple(
                self._expression(("tell_again_when", i), text, None)
                for i, text in enumerate(self._list("tell_again_when"))
            ),
            occurred=self._optional("occurred", "number"),
            supersedes=tuple(str(each) for each in self._words("supersedes")),
            observation_days=self._integer("observation_days", 7, 400),
            evidence=self._read_evidence("evidence"),
            resolved_evidence=self._read_evidence("resolved_evidence"),
            tells=self._read_tells(),
            messages=self._read_messages(),
            expires_at=self._expires_at,
            steps=self._steps,
            bulk=self._truth("bulk"),
            keeps_row=self._word("row", ("kept", "none"), "kept") == "kept",
            remembers=self._optional("remembers", "boolean"),
            ends_at_hour="hour" in self._list("resolve_on"),
            warm=self._optional("warm", "boolean"),
            urgent_from_risk=self._risk("urgent_from_risk"),
        )
        check_rule(rule, self._document, self._used)
        return rule

    def _read_priority(self) -> Typed:
        found = self._expression(("priority",), self._given["priority"], "number")
        if found.is_literal and found.code not in PRIORITIES:
            raise self._error(("priority",), "want a priority from 1 (most urgent) to 5")
        return found

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
            code = checked_text(self._document, (*path, "as"), given["as"])
            found.append(Resolution(self._expression((*path, "when"), given["when"], "boolean"), code))
        return tuple(found)

    def _read_evidence(self, field_: str) -> tuple[Evidence, ...]:
        return tuple(self._read_condition((field_, i), each) for i, each in enumerate(self._list(field_)))

    def _read_condition(self, path: Path, given: Any) -> Evidence:
        keys = {"name": True, "unit": True, "observed": False, "text": False, "baseline": False, "threshold": False}
        self._keys(path, given, {**keys, "layer": False})
        layer, parameters = str(given.get("layer", "")), tuple(self._mapping("parameters"))
        is_name = re.fullmatch(r"\w*", layer) is not None
        if layer and is_name and layer not in parameters:
            raise self._error((*path, "layer"), f"{layer} is not a parameter of this rule")

        def part(key: str, type_: str) -> Typed | None:
            return self._expression((*path, key), given[key], type_) if key in given else None

        unit, observed = given["unit"], part("observed", "number")
        if not isinstance(unit, str):
            raise self._error((*path, "unit"), "want a unit such as fen")
        if observed is not None:
            self._check_unit((*path, "unit"), given, observed)
        return Evidence(
            name=checked_text(self._document, (*path, "name"), given["name"]),
            unit=unit,
            observed=observed,
            observed_text=self._expression((*path, "text"), given["text"], None) if "text" in given else None,
            baseline=part("baseline", "number"),
            threshold=part("threshold", "number"),
            layer=layer if is_name else "",
            layer_by=None if is_name else self._expression((*path, "layer"), layer, "enum", words=parameters),
        )

    def _check_unit(self, path: Path, given: Any, observed: Typed) -> None:
        """Refuse another unit than that of what is observed. Of products of pure numbers the unit is not known for
        sure: there only a bare name has one."""
        unit = given["unit"]
        is_sure = str(given["observed"]) in self._names or not {observed.unit, unit} <= PURE
        if observed.unit and observed.unit != unit and is_sure:
            raise self._error(path, f"what is observed is in {observed.unit}")

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
            labels = checked_labels(self._document, (*path, "labels"), given.get("labels", {}), value.words)
            found.append(Told(name, value, format_, labels))
        return tuple(found)

    def _read_messages(self) -> dict[str, Message]:
        given = self._mapping("messages")
        checked_keys(self._document, ("messages",), given, dict.fromkeys(LANGUAGES, True))
        return {key: Message(**checked_message(self._document, key, given[key])) for key in LANGUAGES}

    def _read_slot(self) -> Slot | None:
        given = self._given["cadence"]
        if given == "immediate":
            return None
        return self._read_slot_of(("cadence",), given)

    def _read_slot_of(self, path: Path, given: Any) -> Slot:
        self._keys(path, given, {"every": True, "at": True})
        if str(given["every"]) not in EVERY:
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
        self._whole((*path, "observed_days"), days, OBSERVED_DAYS_MAX)
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
        if len(given) != 1:
            raise self._error(("expires",), "want never, {days: n}, {hours: n} or {at: instant}")
        ((unit, count),) = given.items()
        self._whole(("expires", unit), count, EXPIRES_MAX[unit])
        if unit == "days":
            return f"((day + {count + 1}) * 86_400_000 - TZ_MS)"
        return f"(np.int64(at) + {count} * 3_600_000)"

    def _kinds(self, key: str) -> tuple[int, ...]:
        found = []
        for i, name in enumerate(self._list(key)):
            if name == "hour" and key == "resolve_on" and self._slot is not None:
                continue
            if not isinstance(name, str) or name not in wire.KINDS:
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
        self._used |= found.names
        if words and found.type == "word":
            raise self._error(path, f"'{found.code}' is none of {', '.join(words)}")
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
        return self._whole((key,), self._given.get(key, default), most)

    def _whole(self, path: Path, value: Any, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self._error(path, f"want an integer from 0 to {most}")
        return value

    def _risk(self, key: str) -> float | None:
        return checked_number(self._document, (key,), self._given[key], 0, 100) if key in self._given else None

    def _list(self, key: str) -> list[Any]:
        value = self._given.get(key, [])
        if not isinstance(value, list):
            raise self._error((key,), "want a list")
        return value

    def _words(self, key: str) -> list[Any]:
        value = self._list(key)
        for i, each in enumerate(value):
            if not isinstance(each, str | int) or isinstance(each, bool) or not str(each):
                raise self._error((key, i), "want a word")
        return value

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self._given.get(key, {})
        if not isinstance(value, dict):
            raise self._error((key,), "want a mapping")
        return value

    def _keys(self, path: Path, given: Any, allowed: Mapping[str, bool]) -> None:
        checked_keys(self._document, path, given, allowed)

    def _error(self, path: Path, message: str) -> Exception:
        return self._document.error(path, message)

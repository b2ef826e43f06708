"""Reads a mapping file and refuses it with every fault: file, key, what is right."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from string import Formatter
from typing import Any
from zoneinfo import available_timezones

import yaml

from schemas.events import KINDS, FieldType
from services.ingest.errors import MappingFault
from services.ingest.files.mapping import CsvForm, FileMapping, Rule
from services.ingest.files.units import FACTORS

FORMATS = ("csv", "ndjson", "parquet")
_MAPPING_BYTES_MAX = 1_000_000
_TOP_KEYS = frozenset({"kind", "format", "csv", "fields", "about"})
_CSV_KEYS = frozenset({"delimiter", "encoding", "header", "columns"})
_SOURCES = ("column", "constant", "template", "derive")
_RULE_KEYS = frozenset({*_SOURCES, "when", "values", "otherwise", "unit", "time", "zone", "hash", "default"})
_HASHABLE = frozenset({"customer_id", "counterpart_key"})
_ENCODINGS = ("utf-8", "gb18030", "gbk", "latin-1")
_UNIX_TIMES = ("iso", "unix_seconds", "unix_milliseconds")


def load_mapping(path: Path) -> FileMapping:
    """Return the mapping in a file; raises MappingFault with every fault."""
    try:
        if path.stat().st_size > _MAPPING_BYTES_MAX:
            raise MappingFault(str(path), [f"want at most {_MAPPING_BYTES_MAX} bytes"])
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except OSError as exc:
        raise MappingFault(str(path), [exc.strerror or "cannot be read"]) from exc
    except UnicodeDecodeError as exc:
        raise MappingFault(str(path), ["want YAML in UTF-8"]) from exc
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise MappingFault(str(path), [f"{where}want YAML: {getattr(exc, 'problem', None) or 'unreadable'}"]) from exc
    check = _Check()
    mapping = check.document(document, hashlib.sha256(text.encode()).hexdigest())
    if check.faults or mapping is None:
        raise MappingFault(str(path), check.faults)
    return mapping


class _Check:
    """Collects faults while it reads."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def document(self, document: Any, digest: str) -> FileMapping | None:
        if not isinstance(document, dict):
            self.faults.append("want a YAML mapping with the keys kind and fields")
            return None
        self._known_keys("", document, _TOP_KEYS)
        kind = document.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            self.faults.append(f"kind: want one of {', '.join(KINDS)}; got {kind!r}")
            return None
        file_format = document.get("format", "")
        if file_format not in ("", *FORMATS):
            self.faults.append(f"format: want one of {', '.join(FORMATS)}; got {file_format!r}")
        fields = document.get("fields")
        if not isinstance(fields, dict) or not fields:
            self.faults.append("fields: want a mapping from field names to where they come from")
            return None
        csv_form = self._csv(document.get("csv", {}))
        rules = {name: self._rules(kind, str(name), given) for name, given in fields.items()}
        self._required(kind, rules)
        self._columns_exist(csv_form, rules)
        return FileMapping(kind=kind, rules=rules, file_format=file_format, csv=csv_form, digest=digest)

    def _csv(self, given: Any) -> CsvForm:
        if not isinstance(given, dict):
            self.faults.append("csv: want a mapping")
            return CsvForm()
        self._known_keys("csv.", given, _CSV_KEYS)
        delimiter, encoding = given.get("delimiter", ","), str(given.get("encoding", "utf-8")).lower()
        header, columns = given.get("header", True), given.get("columns", [])
        if not isinstance(delimiter, str) or len(delimiter) != 1:
            self.faults.append(f"csv.delimiter: want one character; got {delimiter!r}")
            delimiter = ","
        if encoding not in _ENCODINGS:
            self.faults.append(f"csv.encoding: want one of {', '.join(_ENCODINGS)}; got {encoding!r}")
        if not isinstance(header, bool):
            self.faults.append(f"csv.header: want true or false; got {header!r}")
        if not _is_texts(columns) or len(set(columns)) != len(columns):
            self.faults.append("csv.columns: want a list of different names")
            columns = []
        if header is False and not columns:
            self.faults.append("csv.columns: want the names of the columns, since header is false")
        return CsvForm(delimiter=delimiter, encoding=encoding, has_header=bool(header), columns=tuple(columns))

    def _rules(self, kind: str, name: str, given: Any) -> tuple[Rule, ...]:
        fields = KINDS[kind].fields_by_name
        if name not in fields:
            self.faults.append(f"fields.{name}: {kind} has no such field; it has {', '.join(fields)}")
            return ()
        if name == "phone":
            self.faults.append("fields.phone: files carry no phone numbers; hash one into customer_id instead")
            return ()
        cases = given if isinstance(given, list) else [given]
        if not cases:
            self.faults.append(f"fields.{name}: want at least one case")
        where = [f"fields.{name}" if len(cases) == 1 else f"fields.{name}[{number}]" for number in range(len(cases))]
        return tuple(self._rule(kind, name, place, case) for place, case in zip(where, cases, strict=True))

    def _rule(self, kind: str, name: str, place: str, given: Any) -> Rule:
        if not isinstance(given, dict):
            self.faults.append(f"{place}: want a mapping with one of {', '.join(_SOURCES)}; got {given!r}")
            return Rule()
        self._known_keys(f"{place}.", given, _RULE_KEYS)
        sources = [source for source in _SOURCES if source in given]
        if len(sources) != 1:
            self.faults.append(
                f"{place}: want exactly one of {', '.join(_SOURCES)}; got {', '.join(sources) or 'none'}"
            )
        unit, values = given.get("unit"), given.get("values")
        if unit is not None and unit not in FACTORS:
            self.faults.append(f"{place}.unit: want one of {', '.join(FACTORS)}; got {unit!r}")
        if unit is not None and KINDS[kind].fields_by_name[name].type is not FieldType.INTEGER:
            self.faults.append(f"{place}.unit: {name} is no number")
        if values is not None and not isinstance(values, dict):
            self.faults.append(f"{place}.values: want a mapping from words of the file to values of the field")
            values = None
        return Rule(
            when=self._when(place, given.get("when", {})),
            column=self._text(place, "column", given.get("column", "")),
            constant=given.get("constant"),
            template=self._template(place, given.get("template", "")),
            derive=self._derive(place, name, given.get("derive", [])),
            values={str(word): value for word, value in values.items()} if values is not None else None,
            otherwise=given.get("otherwise"),
            unit=FACTORS.get(unit) if isinstance(unit, str) else None,
            time_format=self._time(place, kind, name, given),
            zone=self._zone(place, given.get("zone", "")),
            is_hashed=self._hash(place, name, given.get("hash", False)),
            default=given.get("default"),
        )

    def _when(self, place: str, given: Any) -> Mapping[str, frozenset[str]]:
        if not isinstance(given, dict):
            self.faults.append(f"{place}.when: want a mapping from columns to the words they must have")
            return {}
        return {
            str(column): frozenset(str(word) for word in (words if isinstance(words, list) else [words]))
            for column, words in given.items()
        }

    def _text(self, place: str, key: str, given: Any) -> str:
        if not isinstance(given, str):
            self.faults.append(f"{place}.{key}: want a text; got {given!r}")
            return ""
        return given

    def _template(self, place: str, given: Any) -> str:
        text = self._text(place, "template", given)
        try:
            parts = list(Formatter().parse(text))
        except ValueError as exc:
            self.faults.append(f"{place}.template: {exc}")
            return ""
        if any(
            spec or conversion or (column is not None and not column.replace("_", "").replace("$", "").isalnum())
            for _, column, spec, conversion in parts
        ):
            self.faults.append(f"{place}.template: want column names in braces and nothing else in them")
            return ""
        return text

    def _derive(self, place: str, name: str, given: Any) -> tuple[str, ...]:
        if not _is_texts(given):
            self.faults.append(f"{place}.derive: want a list of columns; $line and $file are columns too")
            return ()
        if given and name != "event_id":
            self.faults.append(f"{place}.derive: only event_id is derived; hash: true makes numeric ids")
        return tuple(given)

    def _time(self, place: str, kind: str, name: str, given: Mapping[str, Any]) -> str:
        time_format = given.get("time", "")
        is_instant = KINDS[kind].fields_by_name[name].type is FieldType.INSTANT
        if time_format and not is_instant:
            self.faults.append(f"{place}.time: {name} is no instant")
        if not isinstance(time_format, str):
            self.faults.append(
                f"{place}.time: want iso, unix_seconds, unix_milliseconds or a form such as %d.%m.%Y %H:%M"
            )
            return ""
        if time_format and time_format not in _UNIX_TIMES:
            try:
                has_zone = "%z" in time_format
                sample = datetime(2026, 9, 7).strftime(time_format)  # noqa: DTZ001 - only the form is tried
                if not has_zone:
                    datetime.strptime(sample, time_format)  # noqa: DTZ007 - as above
            except ValueError:
                self.faults.append(f"{place}.time: {time_format!r} is no form of strptime, such as %Y-%m-%d %H:%M:%S")
            if not has_zone and not given.get("zone"):
                self.faults.append(f"{place}.zone: want the time zone of the file, such as Asia/Shanghai")
        return time_format

    def _zone(self, place: str, given: Any) -> str:
        if given and given not in available_timezones():
            self.faults.append(f"{place}.zone: want an IANA time zone, such as Asia/Shanghai; got {given!r}")
            return ""
        return str(given or "")

    def _hash(self, place: str, name: str, given: Any) -> bool:
        if not isinstance(given, bool):
            self.faults.append(f"{place}.hash: want true or false; got {given!r}")
            return False
        if given and name not in _HASHABLE:
            self.faults.append(f"{place}.hash: only {' and '.join(sorted(_HASHABLE))} are hashed")
        return bool(given)

    def _required(self, kind: str, rules: Mapping[str, Any]) -> None:
        for field in KINDS[kind].fields:
            if field.is_required and field.name not in rules:
                self.faults.append(f"fields.{field.name}: {kind} requires it; say where it comes from")

    def _columns_exist(self, csv_form: CsvForm, rules: Mapping[str, tuple[Rule, ...]]) -> None:
        if not csv_form.columns:
            return
        for name, cases in rules.items():
            for column in _columns_of(cases):
                if column not in csv_form.columns and not column.startswith("$"):
                    self.faults.append(f"fields.{name}: csv.columns has no column {column!r}")

    def _known_keys(self, place: str, given: Mapping[Any, Any], known: frozenset[str]) -> None:
        for key in given:
            if key not in known:
                self.faults.append(f"{place}{key}: unknown key; want {', '.join(sorted(known))}")


def _columns_of(cases: tuple[Rule, ...]) -> list[str]:
    found: list[str] = []
    for rule in cases:
        found += [rule.column] if rule.column else []
        found += [column for _, column, _, _ in Formatter().parse(rule.template) if column]
        found += [*rule.derive, *rule.when]
    return found


def columns_used(mapping: FileMapping) -> frozenset[str]:
    """Return the columns that a mapping reads, for a check against a file's header."""
    return frozenset(
        column for cases in mapping.rules.values() for column in _columns_of(cases) if not column.startswith("$")
    )


def _is_texts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(item, str) for item in given)

"""The catalogue of rules as a page: what each rule finds and when, its thresholds with their layers, what it tells, how
it ends. Made from the rule files alone, in Chinese and English side by side.

Owns what is said; `catalogue_pages` owns how Markdown and HTML write it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from services.detector.authoring.catalogue_pages import Block, Code, Heading, Paragraph, Table

RISK_FILE, LATENESS_FILE = "risk.yaml", "lateness.yaml"
Rule = Mapping[str, Any]

_CLASSES = {
    "FIRST_TIME": "第一时刻 First-time moments",
    "CHANGE": "异动时刻 Change and anomaly moments",
    "SPECIAL": "特殊时刻 Special moments",
    "DO_NOT_SERVE": "免服务时刻 Do-not-serve moments",
}
_DIMENSIONS = {"TARIFF": "品牌资费 tariff", "BUSINESS": "业务营销 business", "SERVICE": "服务 service",
               "CIRCLE": "通话圈 circle", "NONE": "—"}  # fmt: skip
_GROUPS = {"SERVICE": "服务 service", "CARE": "关怀 care", "COMMERCIAL": "营销 commercial", "NONE": "—"}
_KINDS = {"balance": "余额", "bill": "账单", "complaint": "投诉", "customer": "客户资料", "handset-change": "换机",
          "inquiry": "咨询", "line-status": "号码状态", "roaming": "漫游", "service-order": "业务订单",
          "usage": "使用记录"}  # fmt: skip
_EVERY = {
    "day": ("每天", "every day"),
    "monday": ("每周一", "every Monday"),
    "month": ("每月一日", "on the first of a month"),
    "hour": ("每小时", "every hour"),
}
_FURTHER = {"windows": "可联系时段 Windows", "urgent_sms": "紧急短信 Urgent SMS"}
_LAYERS = (("city", "地市 city"), ("segment", "客户群 segment"), ("city_and_segment", "地市与客户群 city and segment"))
_KNOWN = frozenset({
    "id", "description", "class", "dimension", "group", "cadence", "on", "also", "profile", "episode", "steps",
    "history", "observed_days", "parameters", "features", "fire", "rearm", "resolve", "resolve_on", "cool_down_days",
    "keep", "expires", "priority", "channel", "call_from_risk", "earliest_contact", "recheck_at", "tell_again_when",
    "occurred", "supersedes", "warm", "wait_hours", "count_when", "lateness", "observation_days", "evidence",
    "resolved_evidence", "tells", "messages",
})  # fmt: skip


def catalogue(documents: Mapping[str, str]) -> list[Block]:
    """Return the page of these documents (path → text); they were checked before."""
    given = {path.rsplit("/", 1)[-1]: yaml.safe_load(text) for path, text in sorted(documents.items())}
    rules = sorted(
        (each for name, each in given.items() if name not in (RISK_FILE, LATENESS_FILE)),
        key=lambda rule: (list(_CLASSES).index(rule["class"]), natural(rule["id"])),
    )
    blocks: list[Block] = [
        Heading(1, "关键时刻目录 The catalogue of moments"),
        Paragraph(
            "由规则文件生成，请勿手工修改：`kairos rules docs`。 Generated from the rule files by `kairos rules docs`; "
            "change those, not this page."
        ),
        *_overview(rules),
    ]
    for class_, title in _CLASSES.items():
        of_class = [rule for rule in rules if rule["class"] == class_]
        if of_class:
            blocks.append(Heading(2, title))
        for rule in of_class:
            blocks += _rule(rule)
    if RISK_FILE in given:
        blocks += _risk(given[RISK_FILE])
    if LATENESS_FILE in given:
        blocks += _lateness(given[LATENESS_FILE])
    return blocks


def natural(rule_id: str) -> tuple[str, int]:
    """AN2 before AN10."""
    found = re.fullmatch(r"([A-Z]+)([0-9]*)", rule_id)
    return (found[1], int(found[2] or 0)) if found else (rule_id, 0)


def _overview(rules: list[Rule]) -> Iterator[Block]:
    rows = [
        (
            f"[{rule['id']}]",
            _title(rule),
            _CLASSES[rule["class"]].split(" ")[0],
            _DIMENSIONS[rule["dimension"]],
            _when(rule),
            _inline(rule.get("priority", "")),
            _inline(rule.get("channel", "")),
        )
        for rule in rules
    ]
    heads = (
        "规则 rule",
        "时刻 moment",
        "类别 class",
        "维度 dimension",
        "判定 judged",
        "优先级 priority",
        "渠道 channel",
    )
    yield Paragraph(f"{len(rules)} 个时刻 moments")
    yield Table(heads, tuple(rows))


def _rule(rule: Rule) -> Iterator[Block]:
    yield Heading(3, f"{rule['id']} {_title(rule)}", str(rule["id"]).lower())
    yield Paragraph(str(rule["description"]).strip())
    yield Table(("", ""), tuple(_facts(rule)))
    if "fire" in rule:
        yield Paragraph("触发条件 Fires when")
        yield Code(_folded(rule["fire"]))
    if rule.get("features"):
        yield Paragraph("用到的量 Features")
        rows = tuple((f"`{name}`", _inline(each)) for name, each in rule["features"].items())
        yield Table(("名称 name", "含义 what it is"), rows)
    if rule.get("parameters"):
        yield Paragraph("阈值（各层） Thresholds by layer")
        heads = ("参数 parameter", "说明 about", "单位 unit", "全省 province", *(title for _, title in _LAYERS))
        yield Table(heads, tuple(_parameter(name, each) for name, each in rule["parameters"].items()))
    yield from _evidence("证据 Evidence", rule.get("evidence", ()))
    yield from _evidence("结束时的证据 Evidence when it ends", rule.get("resolved_evidence", ()))
    for key in (key for key in rule if key not in _KNOWN):
        yield Paragraph(_FURTHER.get(key, key))
        yield Code(yaml.safe_dump(rule[key], allow_unicode=True, sort_keys=False, width=110).rstrip())
    yield from _messages(rule.get("messages", {}))


def _facts(rule: Rule) -> Iterator[tuple[str, str]]:
    yield "维度、组别 dimension, group", f"{_DIMENSIONS[rule['dimension']]}; {_GROUPS[rule['group']]}"
    yield "判定 judged", _when(rule)
    if rule.get("observed_days"):
        days = rule["observed_days"]
        yield "预热 warm", f"至少观察 {days} 天用量 after {days} observed days of usage"
    if "warm" in rule:
        yield "有基线 baseline known", _inline(rule["warm"])
    if rule.get("wait_hours"):
        yield "等待 waits", f"{rule['wait_hours']} 小时 hours"
    if "episode" not in rule:
        return
    yield "周期 episode", ", ".join([f"`{rule.get('episode', '')}`", *(f"`{step}`" for step in rule.get("steps", ()))])
    yield from _priority(rule)
    yield from _endings(rule)
    if rule.get("supersedes"):
        yield "取代 supersedes", ", ".join(rule["supersedes"])


def _priority(rule: Rule) -> Iterator[tuple[str, str]]:
    yield "优先级 priority", _inline(rule.get("priority", "—"))
    channel = _inline(rule.get("channel", "—"))
    if "call_from_risk" in rule:
        risk = rule["call_from_risk"]
        channel += f"; 风险 ≥ {risk} 时电话 a call from risk {risk}"
    yield "渠道 channel", channel
    if "earliest_contact" in rule:
        yield "最早联系 earliest contact", _inline(rule["earliest_contact"])


def _endings(rule: Rule) -> Iterator[tuple[str, str]]:
    for each in rule.get("resolve", ()):
        yield f"结束 ends: `{each['as']}`", _inline(each["when"])
    expires = rule.get("expires")
    if isinstance(expires, dict) and "days" in expires:
        days = expires["days"]
        told = "当天结束 end of the day" if days == 0 else f"{days} 天后 after {days} days"
    elif isinstance(expires, dict):
        told = "; ".join(f"{key} {_inline(value)}" for key, value in expires.items())
    else:
        told = "永不 never" if expires == "never" else _inline(expires)
    yield "到期 expires", told
    if "rearm" in rule:
        yield "复位 re-armed", _inline(rule["rearm"])
    days = rule.get("cool_down_days", 0)
    yield "冷却 cool-down", f"{days} 天 days" if days else "无 none"


def _when(rule: Rule) -> str:
    cadence = rule.get("cadence")
    if cadence == "continuous":
        return "持续 continuous"
    if cadence == "immediate":
        kinds = rule.get("on", ())
        told = f"即时 immediate: {', '.join(f'{_KINDS.get(kind, kind)} {kind}' for kind in kinds)}"
    else:
        told = _every(cadence)
    also = rule.get("also")
    return f"{told}; {_every(also['cadence'])}" if also else told


def _every(cadence: Any) -> str:
    if not isinstance(cadence, dict):
        return "—" if cadence is None else str(cadence)
    chinese, english = _EVERY.get(str(cadence.get("every")), (str(cadence.get("every")),) * 2)
    at = f" {cadence['at']}" if "at" in cadence else ""
    return f"{chinese}{at} {english}{at}"


def _parameter(name: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    layers = ("; ".join(_layer(given.get(key, {}))) or "—" for key, _ in _LAYERS)
    return f"`{name}`", str(given.get("about", "")), str(given["unit"]), f"{given['value']}", *layers


def _layer(given: Mapping[str, Any]) -> Iterator[str]:
    for code, value in given.items():
        if isinstance(value, dict):
            yield from (f"{code}/{segment}: {each}" for segment, each in value.items())
        else:
            yield f"{code}: {value}"


def _evidence(title: str, given: Any) -> Iterator[Block]:
    if not given:
        return
    yield Paragraph(title)
    rows = tuple(
        (
            f"`{each['name']}`",
            str(each.get("unit", "")),
            _inline(each.get("observed", each.get("text", ""))),
            _inline(each.get("baseline", "")),
            _inline(each.get("threshold", "")),
            _inline(each.get("layer", "")),
        )
        for each in given
    )
    heads = ("名称 name", "单位 unit", "观测 observed", "基线 baseline", "阈值 threshold", "阈值来自 from")
    yield Table(heads, rows)


def _messages(given: Mapping[str, Mapping[str, str]]) -> Iterator[Block]:
    if given:
        yield Paragraph("话术 Messages")
        rows = tuple(
            (language, each["title"], each["why_now"], each["what_to_say"]) for language, each in given.items()
        )
        yield Table(("语言 language", "标题 title", "为何现在 why now", "怎么说 what to say"), rows)


def _risk(card: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "在库风险度 Risk score", "risk")
    yield Paragraph(f"`{card['version']}`, {card.get('form', 'plain_sum')}. {str(card.get('description', '')).strip()}")
    rows = []
    for term in card["terms"]:
        source = f"`{term['attribute']}`（属性 attribute）" if "attribute" in term else _inline(term["value"])
        for each in [*term["bins"], term["missing"]]:
            figures = [each.get(key, "") for key in ("rate", "log_odds")]
            rows.append((str(term["name"]), source, str(each["name"]), *map(str, figures)))
    yield Table(("项 term", "取值 value", "箱 bin", "离网率 rate", "对数几率 log odds"), tuple(rows))


def _lateness(given: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(2, "迟到容限 Allowed lateness", "lateness")
    rows = tuple((f"{_KINDS.get(kind, kind)} {kind}", f"{hours:g}") for kind, hours in given["hours"].items())
    yield Table(("事件 event", "小时 hours"), rows)


def _title(rule: Rule) -> str:
    messages = rule.get("messages", {})
    titles = [messages[language]["title"] for language in ("zh", "en") if language in messages]
    return " ".join(titles) or str(rule["description"]).split(".")[0]


def _inline(value: Any) -> str:
    """An expression or declaration as inline code; nothing for nothing."""
    if value in ("", None):
        return ""
    if isinstance(value, dict):
        return "`" + ", ".join(f"{key}: {each}" for key, each in value.items()) + "`"
    return f"`{_folded(value)}`"


def _folded(value: Any) -> str:
    return " ".join(str(value).split())

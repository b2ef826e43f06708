"""What readings, risk terms and their bins are called on the screen, in Chinese and English. Pure.

A name that is not listed (a rule added later) shows as its words, without the unit.
"""

from typing import Final

from services.manager.texts import Language

_READINGS: Final[dict[str, tuple[str, str]]] = {
    "balance_fen": ("余额", "balance"),
    "observed_days": ("已观察天数", "days observed"),
    "complaint_id": ("投诉编号", "complaint"),
    "state": ("投诉状态", "state"),
    "open_ms": ("已开未结", "open for"),
    "same_topic_in_30_days": ("30 天内同类投诉", "same topic in 30 days"),
    "device_model": ("新机型", "new handset"),
    "stable_ms": ("换机已", "in use for"),
    "unseen_days": ("此机型未见天数", "model unseen for"),
    "changes_in_7_days": ("7 天内换机次数", "changes in 7 days"),
    "capabilities_beyond_plan": ("套餐未支持的能力", "capabilities beyond plan"),
    "week_seconds": ("上周通话", "calls last week"),
    "mean_week_seconds": ("前四周周均通话", "weekly mean before"),
    "running_week_seconds": ("本周通话", "calls this week"),
    "open_complaints": ("未结投诉", "open complaints"),
    "line_status": ("号码状态", "line status"),
    "line_since": ("状态起始", "since"),
    "voice_trend": ("通话趋势", "call trend"),
    "data_trend": ("流量趋势", "data trend"),
    "complaints": ("近 90 天投诉", "complaints in 90 days"),
    "tenure": ("在网时长", "tenure"),
    "auto_pay": ("缴费方式", "payment"),
    "balance": ("余额水平", "balance level"),
}
_BINS: Final[dict[str, tuple[str, str]]] = {
    "silent": ("无使用", "silent"),
    "below_half": ("不足一半", "below half"),
    "falling": ("下降", "falling"),
    "steady": ("平稳", "steady"),
    "unknown": ("未知", "unknown"),
    "none": ("无", "none"),
    "one": ("一次", "one"),
    "several": ("多次", "several"),
    "first_year": ("第一年", "first year"),
    "second_year": ("第二年", "second year"),
    "to_five_years": ("三至五年", "three to five years"),
    "long": ("五年以上", "over five years"),
    "by_hand": ("手动缴费", "by hand"),
    "automatic": ("自动缴费", "automatic"),
    "arrears": ("欠费", "arrears"),
    "low": ("偏低", "low"),
    "enough": ("充足", "enough"),
}
_UNITS: Final = ("_fen", "_seconds", "_kib", "_ms", "_ratio")


def reading_name(name: str, language: Language) -> str:
    """What a reading or risk term is called; a name that is not known without its unit and underscores."""
    pair = _READINGS.get(name)
    if pair is not None:
        return pair[0 if language == "zh" else 1]
    for suffix in _UNITS:
        name = name.removesuffix(suffix)
    return name.replace("_", " ")


def bin_name(name: str, language: Language) -> str:
    """What a bin of a risk term is called; a name that is not known without underscores."""
    pair = _BINS.get(name)
    return name.replace("_", " ") if pair is None else pair[0 if language == "zh" else 1]

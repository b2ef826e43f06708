"""What readings, risk terms and their bins are called on the screen, in Chinese and English. Pure.

A name that is not listed (a rule added later) shows as its words, without the unit.
"""

import re
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
    "category": ("业务类别", "service category"),
    "category_unseen_days": ("此类业务未用天数", "category unused for"),
    "active_for_ms": ("已开通", "active for"),
    "category_is_active": ("业务是否在用", "category active"),
    "roaming_off_days": ("漫游未开通天数", "roaming off for"),
    "roaming_is_on": ("漫游是否开通", "roaming on"),
    "days_since_fee_inquiry": ("距上次查询话费天数", "days since the last fee inquiry"),
    "last_bill_fen": ("上期账单", "last bill"),
    "country": ("国家或地区", "country"),
    "country_unseen_days": ("未到访天数", "country not visited for"),
    "fault_inquiries": ("报障", "fault inquiries"),
    "silent_minutes": ("无成功使用分钟数", "minutes without success"),
    "mean_daily_successes": ("日均成功使用次数", "successful uses a day"),
    "successful_uses": ("恢复后成功使用次数", "successful uses since"),
    "suspension_in_ms": ("距预计停机", "suspension expected in"),
    "topic": ("咨询主题", "topic"),
    "inquiry_state": ("咨询状态", "inquiry state"),
    "open_in_7_days": ("7 天内未解决咨询", "open inquiries in 7 days"),
    "open_in_24_hours": ("24 小时内未解决咨询", "open inquiries in 24 hours"),
    "cancelled_in_30_days": ("30 天内退订", "cancelled in 30 days"),
    "core_cancelled": ("退订核心业务", "core add-on cancelled"),
    "bill_age_days": ("账单距今", "age of the bill"),
    "bill_total_fen": ("账单金额", "bill"),
    "bills_known": ("已知账单数", "bills known"),
    "charge_fall_fen": ("周消费减少", "weekly fall"),
    "contract_days_left": ("合约剩余天数", "days of contract left"),
    "contract_ends_at": ("合约到期", "contract ends"),
    "day_charge_fen": ("24 小时消费", "charge of 24 hours"),
    "days_since_change": ("距套餐变更、停机或漫游", "since plan change, suspension or travel"),
    "days_until": ("距节日天数", "days until"),
    "deviation_fen": ("与月租的差额", "deviation from the fee"),
    "festival_at": ("节日", "festival"),
    "make_up_before_fen": ("上期补收", "make-up charge before"),
    "make_up_fen": ("补收", "make-up charge"),
    "mean_week_data_kib": ("前四周周均流量", "weekly mean of data before"),
    "month_charge_fen": ("本月或本期消费", "charge of the month or bill"),
    "month_or_bill_out_of_bundle_fen": ("套餐外费用", "outside the plan"),
    "month_out_of_bundle_fen": ("本月套餐外费用", "outside the plan this month"),
    "month_voice_seconds": ("上月通话", "calls last month"),
    "moved_contacts": ("转网的常用联系人", "contacts moved off-net"),
    "off_net_percent": ("异网通话占比", "off-net share of calls"),
    "out_of_bundle_before_fen": ("此前套餐外费用", "outside the plan before"),
    "running_week_charge_fen": ("本周消费", "charge this week"),
    "used_data_kib": ("本月已用流量", "data used this month"),
    "used_sms": ("本月已发短信", "messages sent this month"),
    "used_voice_seconds": ("本月主叫", "outgoing calls this month"),
    "voice_before_seconds": ("前三个月通话", "calls of the three months before"),
    "week_charge_fen": ("上周消费", "charge last week"),
    "week_data_kib": ("周流量", "data of the week"),
    "weeks_declined": ("通话下降的周数", "weeks of decline"),
    "years": ("入网年数", "years with us"),
    "off_net_circle": ("异网通话圈", "off-net circle"),
    "voice_trend": ("通话趋势", "call trend"),
    "data_trend": ("流量趋势", "data trend"),
    "complaints": ("近 90 天投诉", "complaints in 90 days"),
    "tenure": ("在网时长", "tenure"),
    "auto_pay": ("缴费方式", "payment"),
    "balance": ("余额水平", "balance level"),
    "base": ("平均客户", "average customer"),
    "brand": ("品牌", "brand"),
    "contract": ("合约", "contract"),
    "dependents": ("家庭成员", "dependents"),
    "internet_service": ("宽带类型", "internet service"),
    "online_security": ("安全业务", "online security"),
    "paperless_billing": ("电子账单", "paperless billing"),
    "payment_method": ("付款方式", "payment method"),
    "senior_citizen": ("老年客户", "senior citizen"),
    "service": ("近 90 天投诉", "complaints in 90 days"),
    "tariff": ("资费匹配", "fit of the tariff"),
    "tech_support": ("技术支持", "tech support"),
    "total_charges": ("累计消费", "total charges"),
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
    "average": ("平均水平", "average"),
    "missing": ("未知", "unknown"),
    "within_plan": ("套餐之内", "within the plan"),
    "beyond_plan": ("超出套餐", "beyond the plan"),
    "far_beyond_plan": ("远超套餐", "far beyond the plan"),
    "go": ("全球通", "GO"),
    "mostly_on_net": ("多为网内", "mostly on-net"),
    "mixed": ("网内网外兼有", "mixed"),
    "mostly_off_net": ("多为异网", "mostly off-net"),
    "family_or_enterprise": ("家庭或集团", "family or enterprise"),
    "brand": ("品牌客户", "BRAND"),
    "easy_and_others": ("神州行及其他", "EASY and others"),
    "month_to_month": ("按月", "month to month"),
    "one_year": ("一年", "one year"),
    "two_year": ("两年", "two years"),
    "dsl": ("普通宽带", "DSL"),
    "fiber_optic": ("光纤", "fibre"),
    "no_internet_service": ("无宽带", "no internet"),
    "electronic_check": ("电子支票", "electronic check"),
    "mailed_check": ("邮寄支票", "mailed check"),
    "bank_transfer_automatic_or_credit_card_automatic": ("自动扣款", "automatic payment"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "1": ("是", "yes"),
    "0": ("否", "no"),
    "others": ("其他", "others"),
}
_NUMBER = r"(-?[0-9][0-9.e+-]*)"
_RANGES: Final = (
    (re.compile(f"below_{_NUMBER}"), "低于 {0}", "below {0}"),
    (re.compile(f"from_{_NUMBER}"), "{0} 起", "{0} and more"),
    (re.compile(f"{_NUMBER}_to_{_NUMBER}"), "{0} 至 {1}", "{0} to {1}"),
)
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
    """What a bin of a risk term is called; a range as such; a name that is not known without underscores."""
    pair = _BINS.get(name)
    for form, chinese, english in _RANGES if pair is None else ():
        found = form.fullmatch(name)
        if found is not None:
            return (chinese if language == "zh" else english).format(*found.groups())
    return name.replace("_", " ") if pair is None else pair[0 if language == "zh" else 1]

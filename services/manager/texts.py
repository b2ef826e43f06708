"""Every word of the client in Chinese and English, and numbers as people read them. Pure."""

import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

Language = Literal["zh", "en"]
LOCAL: Final = ZoneInfo("Asia/Shanghai")

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "waiting": ("等待任务", "Waiting for work"),
    "on_break": ("小休中，不接新任务", "On a break, no new tasks"),
    "not_responding": ("连续未应答，系统已暂停派单；按 a 恢复", "You missed offers, none are sent; press a to resume"),
    "offline": ("已离线；按 a 上线", "Offline; press a to go on shift"),
    "waited": ("已等待", "for"),
    "keys_waiting": ("[b] 小休  [a] 上线  [q] 退出", "[b] break  [a] available  [q] quit"),
    "keys_offer": ("[a] 接受  [d] 拒绝", "[a] accept  [d] decline"),
    "keys_work": ("[c] 办结  [d] 退回  [r] 刷新", "[c] complete  [d] give back  [r] refresh"),
    "offer_left": ("请在 {seconds} 秒内接受", "{seconds} s left to accept"),
    "work_left": ("租约剩余 {minutes} 分钟（自动续期）", "lease {minutes} min (kept alive)"),
    "offer_gone": ("任务已超时，转给他人", "The offer ran out and went to somebody else"),
    "lease_gone": ("任务已被收回（{reason}）", "The task was taken back ({reason})"),
    "why_now": ("为什么现在联系", "Why now"),
    "what_to_say": ("怎么说", "What to say"),
    "evidence": ("依据", "Evidence"),
    "observed": ("当前值", "observed"),
    "baseline": ("基线", "baseline"),
    "threshold": ("阈值", "threshold"),
    "layer": ("来源", "from"),
    "history": ("以往联系", "Past contacts"),
    "no_history": ("暂无记录", "none yet"),
    "facts": ("客户信息", "Customer"),
    "risk": ("在库风险度", "risk"),
    "useful_until": ("有效至", "useful until"),
    "attempt": ("第 {number} 次联系", "attempt {number}"),
    "disposition": ("处理结果（1-6，Esc 返回）", "Disposition (1-6, Esc to go back)"),
    "reason": ("退回原因（1-5，Esc 返回）", "Reason (1-5, Esc to go back)"),
    "note": ("备注（回车跳过）：", "Note (Enter for none): "),
    "completed": ("已办结", "Done"),
    "deferred": ("未接通，稍后再联系", "No answer; it comes back later"),
    "declined": ("已退回", "Given back"),
    "outside_window": ("现在不可联系该客户，稍后再派", "The customer may not be called now; it comes back later"),
    "refused": ("服务器拒绝：{reason}", "The server refused: {reason}"),
    "unknown_manager": (
        "工号 {manager} 不在名册中或已停用，请联系管理员",
        "{manager} is not on the roster or not active; ask an administrator",
    ),
    "token_bad": ("令牌无效或已过期，请重新登录", "The token is not valid any more; sign in again"),
    "reconnecting": ("与服务器断开，正在重连", "Connection lost, reconnecting"),
    "reconnected": ("已重新连接", "Connected again"),
    "resumed": ("继续处理上次未办结的任务", "Going on with a task you had accepted"),
    "bye": ("已离线，再见", "Off shift. Goodbye"),
    "today": ("本次已办结 {done}，退回 {declined}", "{done} done, {declined} given back this time"),
    "REACHED_RESOLVED": ("已接通，问题解决", "reached, need met"),
    "REACHED_PROMISED": ("已接通，有承诺事项", "reached, something promised"),
    "REACHED_REFUSED": ("已接通，客户拒绝", "reached, customer refused"),
    "NO_ANSWER": ("未接通", "nobody answered"),
    "WRONG_PERSON": ("非本人接听", "wrong person"),
    "OTHER": ("其他", "other"),
    "BUSY": ("正忙", "busy"),
    "NOT_MY_CUSTOMER": ("非本人客户", "not my customer"),
    "ALREADY_HANDLED": ("已处理过", "already handled"),
    "CONFLICT_OF_INTEREST": ("利益冲突", "conflict of interest"),
    "PROVINCE": ("省", "province"),
    "CITY": ("市", "city"),
    "SEGMENT": ("客户群", "segment"),
    "CITY_AND_SEGMENT": ("市+客户群", "city and segment"),
    "NONE": ("", ""),
    "UNKNOWN": ("", ""),
}
_FACTS: Final[dict[str, tuple[str, str]]] = {
    "plan_id": ("套餐", "plan"),
    "plan_fee_fen": ("月费", "plan fee"),
    "arpu_fen": ("月均消费", "monthly revenue"),
    "brand": ("品牌", "brand"),
    "area": ("区域", "area"),
    "joined_on": ("入网", "joined"),
    "contract_ends_on": ("合约到期", "contract ends"),
    "birthday": ("生日", "birthday"),
    "active_categories": ("在用业务", "services"),
    "preferred_channel": ("偏好渠道", "prefers"),
    "agreed_channels": ("同意渠道", "agreed channels"),
    "quiet_windows": ("免打扰", "quiet hours"),
    "refused_groups": ("拒绝类别", "refused"),
    "auto_pay": ("自动缴费", "auto pay"),
}
DISPOSITIONS: Final = (
    "REACHED_RESOLVED",
    "REACHED_PROMISED",
    "REACHED_REFUSED",
    "NO_ANSWER",
    "WRONG_PERSON",
    "OTHER",
)
REASONS: Final = ("BUSY", "NOT_MY_CUSTOMER", "ALREADY_HANDLED", "CONFLICT_OF_INTEREST", "OTHER")


def text(key: str, language: Language, **values: object) -> str:
    """A text of the client; an unknown code shows as itself."""
    pair = _TEXTS.get(key)
    if pair is None:
        return key
    return pair[0 if language == "zh" else 1].format(**values)


def fact_name(name: str, language: Language) -> str | None:
    """The label of a fact that is worth a line; None for the others."""
    pair = _FACTS.get(name)
    return None if pair is None else pair[0 if language == "zh" else 1]


def fact_value(name: str, value: str, language: Language) -> str:
    """The value of a fact as people read it."""
    if name.endswith("_fen"):
        return amount(float(value), "fen", language)
    if name == "auto_pay":
        return {"true": "是", "false": "否"}[value] if language == "zh" else {"true": "yes", "false": "no"}[value]
    return value


def amount(value: float, unit: str, language: Language) -> str:
    """A number in the unit that people use: yuan, minutes, MB, percent."""
    is_zh = language == "zh"
    match unit:
        case "fen":
            return f"{value / 100:,.2f} 元" if is_zh else f"¥{value / 100:,.2f}"
        case "seconds":
            return f"{value / 60:,.0f} 分钟" if is_zh else f"{value / 60:,.0f} min"
        case "kib":
            return f"{value / 1024:,.0f} MB"
        case "ratio":
            return f"{value * 100:.0f}%"
        case "ms":
            return f"{value / 3_600_000:,.1f} 小时" if is_zh else f"{value / 3_600_000:,.1f} h"
        case "days":
            return f"{value:g} 天" if is_zh else f"{value:g} d"
        case _:
            return f"{value:,g}"


def local_time(at_ms: int) -> str:
    """Month, day, hour and minute where the customers are."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, LOCAL).strftime("%m-%d %H:%M")


def language_of_locale(environ: dict[str, str]) -> Language:
    """Chinese unless the locale clearly says English."""
    for name in ("KAIROS_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "")
        if value:
            return "en" if value.lower().startswith("en") else "zh"
    return "zh"

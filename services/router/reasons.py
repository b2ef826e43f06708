"""The closed list of reasons why a moment is where it is, with their sentences in Chinese and English.

Every row of the backlog and the ledger carries one of these; nothing else may be written there.
"""

from enum import StrEnum


class RowState(StrEnum):
    """Where a moment's one row is."""

    PENDING = "PENDING"
    CARD = "CARD"
    LEDGER = "LEDGER"


class Reason(StrEnum):
    """Why a moment's row is where it is."""

    # PENDING: a fact is missing or forbids contact for now.
    UNDECIDED = "undecided"
    CUSTOMER_UNKNOWN = "customer_unknown"
    LINE_SUSPENDED = "line_suspended"
    OTHER_CHANNEL_ONLY = "other_channel_only"
    RESUMPTION_WAIT = "resumption_wait"
    BEREAVEMENT = "bereavement"
    OPEN_COMPLAINT = "open_complaint"
    DIMENSION_PAUSED = "dimension_paused"
    NOT_BEFORE = "not_before"
    RECENT_CONTACT = "recent_contact"
    CALL_CAP = "call_cap"
    SMS_CAP = "sms_cap"
    QUIET_HOURS = "quiet_hours"
    CUSTOMER_HAS_CARD = "customer_has_card"
    # PENDING: may be contacted, waits for a person.
    AWAITING_ASSIGNMENT = "awaiting_assignment"
    DECLINED = "declined"
    OFFER_MISSED = "offer_missed"
    OWNER_FIRST = "owner_first"
    NO_CAPACITY = "no_capacity"
    NO_MANAGER_ON_SHIFT = "no_manager_on_shift"
    ALL_DECLINED = "all_declined"
    CAPACITY_UNKNOWN = "capacity_unknown"
    MANAGER_AWAY = "manager_away"
    CARD_AT_WORKBENCH = "card_at_workbench"
    DISPATCHING = "dispatching"
    # CARD.
    ON_CARD = "on_card"
    WORKED = "worked"
    # LEDGER.
    RESOLVED = "resolved"
    EXPIRED = "expired"
    GATE = "gate"
    HISTORY = "history"
    SUPERSEDED = "superseded"
    REFUSED_GROUP = "refused_group"
    CHANNEL_NOT_AGREED = "channel_not_agreed"
    NO_CHANNEL = "no_channel"
    SENT_BY_SMS = "sent_by_sms"
    SENT_BY_SELF_SERVICE = "sent_by_self_service"
    WITHDRAWN = "withdrawn"
    INVALID_TASK = "invalid_task"


READY = frozenset(
    {
        Reason.AWAITING_ASSIGNMENT,
        Reason.DECLINED,
        Reason.OFFER_MISSED,
        Reason.OWNER_FIRST,
        Reason.NO_CAPACITY,
        Reason.NO_MANAGER_ON_SHIFT,
        Reason.ALL_DECLINED,
        Reason.CAPACITY_UNKNOWN,
        Reason.MANAGER_AWAY,
        Reason.CARD_AT_WORKBENCH,
    }
)
"""Pending only for want of a person: these rows are the backlog."""

CONTACTED = frozenset({Reason.WORKED, Reason.SENT_BY_SMS, Reason.SENT_BY_SELF_SERVICE})
"""Final whatever revisions follow: the customer has been contacted about it."""

TEXTS: dict[Reason, tuple[str, str]] = {
    Reason.UNDECIDED: ("尚未决策", "not decided yet"),
    Reason.CUSTOMER_UNKNOWN: ("客户资料尚未到达，暂不接触", "the customer's record has not arrived, so no contact"),
    Reason.LINE_SUSPENDED: ("客户停机，暂不服务", "the line is suspended"),
    Reason.OTHER_CHANNEL_ONLY: (
        "客户停机，仅可通过约定的其他渠道处理投诉",
        "the line is suspended; the complaint may be worked only by another agreed channel",
    ),
    Reason.RESUMPTION_WAIT: ("复机后等待 24 小时", "waits 24 h after the line was resumed"),
    Reason.BEREAVEMENT: ("客户家有丧事，暂不打扰", "the customer is in mourning"),
    Reason.OPEN_COMPLAINT: ("客户有未结投诉", "the customer has an open complaint"),
    Reason.DIMENSION_PAUSED: (
        "客户 30 天内两次拒绝此类服务，暂停 60 天",
        "the customer refused this kind twice in 30 days: paused for 60",
    ),
    Reason.NOT_BEFORE: ("未到最早可接触时间", "the earliest time of contact has not come"),
    Reason.RECENT_CONTACT: ("24 小时内已与客户沟通过", "somebody spoke with the customer within 24 h"),
    Reason.CALL_CAP: ("外呼次数已达上限", "the limit of calls is reached"),
    Reason.SMS_CAP: ("短信次数已达上限", "the limit of messages is reached"),
    Reason.QUIET_HOURS: ("免打扰时段", "quiet hours"),
    Reason.CUSTOMER_HAS_CARD: ("客户已有一张处理中的任务卡", "the customer has an open card"),
    Reason.AWAITING_ASSIGNMENT: ("等待分配", "waits to be assigned"),
    Reason.DECLINED: ("经理退回，等待重新分配", "declined by a manager, waits to be assigned again"),
    Reason.OFFER_MISSED: ("经理未接单，等待重新分配", "an offer was missed, waits to be assigned again"),
    Reason.OWNER_FIRST: ("优先等待归属经理", "waits for the customer's own manager first"),
    Reason.NO_CAPACITY: ("全部经理已满负荷", "no manager has room"),
    Reason.NO_MANAGER_ON_SHIFT: ("本地市无在班经理", "no manager of the city is on shift"),
    Reason.ALL_DECLINED: ("可分配的经理均已退回", "all managers who could take it have declined"),
    Reason.CAPACITY_UNKNOWN: ("经理容量未知，暂不派单", "the managers' capacity is unknown, so nothing is dispatched"),
    Reason.MANAGER_AWAY: ("经理离线，等待重新分配", "the manager went away, waits to be assigned again"),
    Reason.CARD_AT_WORKBENCH: ("工作台上该客户仍有任务", "the workbench still has a card of the customer"),
    Reason.DISPATCHING: ("正在派单", "is being dispatched"),
    Reason.ON_CARD: ("已派单", "on a card"),
    Reason.WORKED: ("已处理", "worked by a manager"),
    Reason.RESOLVED: ("时刻已自行解除", "the moment ended by itself"),
    Reason.EXPIRED: ("已过有效期", "expired"),
    Reason.GATE: ("免服务时刻，仅作管控", "a do-not-serve moment: it only closes the gate"),
    Reason.HISTORY: ("历史数据，不派单", "found while loading the past"),
    Reason.SUPERSEDED: ("被更重要的时刻取代", "replaced by another moment"),
    Reason.REFUSED_GROUP: ("客户拒绝此类服务", "the customer refuses this group"),
    Reason.CHANNEL_NOT_AGREED: ("客户未同意任何可用渠道", "the customer agreed to no channel that fits"),
    Reason.NO_CHANNEL: ("该时刻无需接触", "the moment asks for no contact"),
    Reason.SENT_BY_SMS: ("已由短信送达", "sent by SMS"),
    Reason.SENT_BY_SELF_SERVICE: ("已由自助渠道送达", "sent by self-service"),
    Reason.WITHDRAWN: ("已由管理员撤回", "withdrawn at the workbench"),
    Reason.INVALID_TASK: ("任务内容被工作台拒绝", "the workbench refused the task's content"),
}


def sentence(reason: Reason, language: str) -> str:
    """The reason in one sentence; `language` zh or en."""
    return TEXTS[reason][0 if language == "zh" else 1]

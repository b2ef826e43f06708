"""The customer record as facts to show: names and texts, masked, without anything a manager has no use for. Pure."""

from datetime import date, timedelta
from typing import Any, Final

from schemas.codec import Undecodable, decode

CUSTOMER: Final = "kairos.events.v1.CustomerEvent"
_TEXTS: Final = ("plan_id", "brand", "area", "preferred_channel", "birthday")
_DATES: Final = ("joined_on", "contract_ends_on", "bereavement_until")
_LISTS: Final = ("active_categories", "agreed_channels", "quiet_windows", "refused_groups", "plan_capabilities")
_NUMBERS: Final = ("plan_fee_fen", "arpu_fen", "plan_voice_seconds", "plan_data_kib", "plan_sms")
_EPOCH: Final = date(1970, 1, 1)


def facts_of(body: bytes | None) -> dict[str, str]:
    """Facts by field name; empty when there is no record or it cannot be read."""
    if body is None:
        return {}
    try:
        record: dict[str, Any] = dict(decode(body, allowed=[CUSTOMER]).record)
    except Undecodable:
        return {}
    facts = {name: str(record[name]) for name in _TEXTS + _NUMBERS if record.get(name) is not None}
    facts |= {name: (_EPOCH + timedelta(days=record[name])).isoformat() for name in _DATES if record.get(name)}
    facts |= {name: ", ".join(record[name]) for name in _LISTS if record.get(name)}
    if facts.get("birthday"):
        facts["birthday"] = facts["birthday"][-5:]  # the year is nobody's business on a call
    if record.get("birthday_calendar") == "LUNAR" and "birthday" in facts:
        facts["birthday_calendar"] = "LUNAR"
    facts["auto_pay"] = "true" if record.get("auto_pay") else "false"
    return facts

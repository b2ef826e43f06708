"""Which channel a moment goes by: what its rule proposes, corrected by value, consent and nature.

The matrix holds only where the catalogue speaks of value; all other rules propose for the customer themselves.
"""

from enum import StrEnum

from services.router.model import COMPLAINT_RULE, CustomerView, Moment

HIGH_ARPU_FEN = 500_00  # above: call
LOW_ARPU_FEN = 50_00  # below: SMS with consumption detail
BY_VALUE = frozenset({"AN4"})
CALL_BY_DEFAULT = frozenset({"SERVICE"})


class Channel(StrEnum):
    """How a customer is contacted."""

    CALL = "CALL"
    SMS = "SMS"
    SELF_SERVICE = "SELF_SERVICE"
    NONE = "NONE"


def choose_channel(moment: Moment, view: CustomerView) -> Channel | None:
    """The channel for this moment; NONE when it asks for no contact, None when none that fits was agreed to."""
    wanted = _wanted(moment, view)
    if wanted is Channel.NONE or _is_agreed(wanted, view):
        return wanted
    if moment.rule_id == COMPLAINT_RULE:
        return Channel.CALL  # an answer to the customer's own complaint
    fallback = Channel.SMS if wanted is Channel.CALL else Channel.SELF_SERVICE
    return fallback if _is_agreed(fallback, view) else None


def _wanted(moment: Moment, view: CustomerView) -> Channel:
    if moment.rule_id in BY_VALUE and view.arpu_fen is not None:
        if view.arpu_fen > HIGH_ARPU_FEN:
            return Channel.CALL
        return Channel.SMS
    if moment.channel in Channel.__members__:
        return Channel(moment.channel)
    return Channel.CALL if moment.group in CALL_BY_DEFAULT else Channel.SMS


def _is_agreed(channel: Channel, view: CustomerView) -> bool:
    """Unset means the usual channels; a list that is set means only those."""
    if not view.agreed_channels:
        return True
    names = {"APP", "WEB", "SELF_SERVICE"} if channel is Channel.SELF_SERVICE else {channel.value}
    return not names.isdisjoint(view.agreed_channels)

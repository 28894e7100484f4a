"""PURE. What a notice says became of a message: it failed, it waits, it arrived."""

from bouncesink.model import DsnAction
from bouncesink.parse.message import MAX_INTRO

_WARNING = (
    "this is a warning",
    "do not need to resend",
    "not yet been delivered",
    "not been delivered yet",
    "could not be delivered for more",
    "keep trying",
    "continue trying",
    "continue to try",
    "continue to be attempted",
    "delivery attempts will continue",
    "still being attempted",
    "still trying",
    "will be retried",
    "will be attempted again",
    "been delayed",
    "is delayed",
    "was delayed",
    "delivery delayed",
    "delivery incomplete",
    "temporary problem delivering",
    "verzögert",
    "été retardé",
    "en attente",
    "ha retrasado",
    "se retrasó",
    "遅延",
    "遅れて",
    "задерж",
)
_GIVEN_UP = (
    "not going to try again",
    "given up",
    "giving up",
    "not continue trying",
    "no further",
    "permanent",
    "could not be delivered.",
    "has failed",
)
_SUCCESS = (
    "successfully delivered",
    "successfully been delivered",
    "successfully relayed",
    "successfully sent",
    "delivery has been successful",
    "delivery was successful",
    "has been delivered to the following",
    "delivery to these recipients or groups is complete",
)
_NO_SUCCESS = (
    "not success",
    "not been success",
    "not be success",
    "unsuccess",
    "could not",
    "cannot",
    "undeliver",
    "has failed",
    "permanent",
)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(each in text for each in words)


def is_warning(text: str) -> bool:
    """Whether a notice says that delivery goes on being tried."""
    lower = text[:20_000].lower()
    return _has(lower, _WARNING) and not _has(lower, _GIVEN_UP)


def action_in(text: str) -> DsnAction:
    """Tell from its words whether a notice is about a failure, a delay or a success."""
    if is_warning(text):
        return DsnAction.DELAYED
    lower = text[:MAX_INTRO].lower()
    if _has(lower, _SUCCESS) and not _has(lower, _NO_SUCCESS):
        return DsnAction.DELIVERED
    return DsnAction.FAILED

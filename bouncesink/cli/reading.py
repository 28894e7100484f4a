"""What was read of a file, as `bouncesink parse --json` prints it: an interface."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bouncesink.model import Kind, Notice
from bouncesink.shape import report_as_json

if TYPE_CHECKING:  # the real import is slow, and only parse and replay need it
    from bouncesink.reader import Reading


def reading_as_json(file: str, reading: "Reading") -> dict[str, Any]:
    """Give the line of `bouncesink parse --json` for one file."""
    notice = reading.notice
    return {
        "file": file,
        "kind": notice.kind.value,
        "recognizer": notice.recognizer,
        "recipients": [
            report_as_json(report, verdict)
            for report, verdict in zip(notice.reports, reading.verdicts, strict=True)
        ],
        "original": {
            "message_id": notice.original.message_id,
            "from": notice.original.from_,
            "to": notice.original.to,
            "subject": notice.original.subject,
            "campaign": dict(notice.original.campaign),
        },
        "damage": list(notice.damage),
        **_facts(notice),
    }


def problem_as_json(file: str, problem: str) -> dict[str, Any]:
    """Give the line of `bouncesink parse --json` for a file that is no mail."""
    return {
        "file": file,
        "kind": Kind.UNREADABLE.value,
        "recognizer": "none",
        "recipients": [],
        "original": dict.fromkeys(("message_id", "from", "to", "subject")) | {"campaign": {}},
        "damage": [problem],
    }


def _facts(notice: Notice) -> Mapping[str, str]:
    """Give what only some kinds have; a key that does not apply is left out."""
    facts = {
        "feedback_type": notice.feedback_type,
        "confirmation_code": notice.confirmation_code,
        "confirmation_link": notice.confirmation_link,
        "alternative": notice.alternative,
    }
    return {name: value for name, value in facts.items() if value}

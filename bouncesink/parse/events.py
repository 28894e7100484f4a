"""PURE. events.json: bounces that a program has already read, one JSON object each.

An entry has `email`, `date`, one of `code`, `status` and `reply`, `message_id`, and perhaps
`diagnostic`, `type`, `campaign` and `source`; other keys are kept in the arrival's bytes. An
arrival holds exactly one entry.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bouncesink.address import normalise
from bouncesink.identity import body_identity
from bouncesink.model import DsnAction, Kind, Notice, Original
from bouncesink.parse.charset import clean
from bouncesink.parse.jsonfields import Json, canonical, text_of, time_of
from bouncesink.parse.original import message_id
from bouncesink.parse.reports import make_report, reply_code_in, status_in

NAME = "events.json"
MAX_ENTRY = 1_000_000
"""Octets of one entry."""

_ACTIONS = {
    "delayed": (Kind.DELAYED, DsnAction.DELAYED),
    "deferred": (Kind.DELAYED, DsnAction.DELAYED),
    "delivered": (Kind.DELIVERED, DsnAction.DELIVERED),
    "complaint": (Kind.FEEDBACK, DsnAction.FAILED),
    "unsubscribe": (Kind.UNSUBSCRIBE, DsnAction.FAILED),
}
_CLASSES = (("hard", "5.0.0"), ("permanent", "5.0.0"), ("soft", "4.0.0"), ("transient", "4.0.0"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an events file: its bytes, or what is wrong with it. `index` counts from 0."""

    index: int
    raw: bytes = b""
    problem: str = ""


def split_events(data: bytes) -> Iterator[Entry]:
    """Give the entries of an events file: an array, or one object a line. Never raises.

    Entries are re-written with sorted keys, so that the same entry is the same bytes.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Entry(0, problem=f"not UTF-8 at octet {error.start}")
        return
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Entry(0, problem=f"not valid JSON: {_reason(error)}")
            return
        for index, value in enumerate(values):
            yield _entry(index, value)
        return
    lines = (line for line in text.split("\n") if line.strip())
    for index, line in enumerate(lines):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Entry(index, problem=f"not valid JSON: {_reason(error)}")
        else:
            yield _entry(index, value)


def parse_event(raw: bytes) -> Notice:
    """Make a Notice of one entry; UNREADABLE, with the problem as its damage, where it is none."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        value = None
    return replace(notice_of_entry(value), identity=body_identity(raw))


def notice_of_entry(value: object) -> Notice:
    """Do the same for an entry that is no longer JSON: its `identity` is missing."""
    problem = _problem(value)
    if problem:
        return Notice(Kind.UNREADABLE, NAME, "", damage=(clean(problem, 200),))
    assert isinstance(value, dict)
    return _notice(value)


def _reason(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _entry(index: int, value: object) -> Entry:
    problem = _problem(value)
    if problem:
        return Entry(index, problem=problem)
    try:
        raw = canonical(value)
    except (ValueError, RecursionError) as error:
        return Entry(index, problem=_reason(error))
    if len(raw) > MAX_ENTRY:
        return Entry(index, problem=f"larger than {MAX_ENTRY:,} octets")
    return Entry(index, raw)


def _problem(value: object) -> str:
    """Say in a few words what keeps this from being an entry; empty where it is one."""
    if not isinstance(value, dict):
        return 'an object is wanted, as in {"email": ...}'
    email = value.get("email")
    if not isinstance(email, str) or normalise(email) is None:
        return "`email` is missing or is no e-mail address"
    if "date" not in value:
        return "`date` is missing"
    if time_of(value["date"]) is None:
        return "`date` is neither an ISO 8601 date nor seconds since 1970"
    wanted = ("code", "status", "reply", "diagnostic", "type")
    if not any(text_of(value.get(key)) for key in wanted):
        return "`code`, `status`, `reply`, `diagnostic` or `type` is wanted: one of them"
    return ""


def _notice(value: Json) -> Notice:
    kind_name = text_of(value.get("type")).lower()
    kind, action = _ACTIONS.get(kind_name, (Kind.FAILURE, DsnAction.FAILED))
    codes = " ".join(text_of(value.get(key)) for key in ("status", "code", "reply"))
    diagnostic = text_of(value.get("diagnostic")) or text_of(value.get("reply"))
    status = status_in(codes)
    if status is None and reply_code_in(codes) is None and not status_in(diagnostic):
        status = next((code for word, code in _CLASSES if word in kind_name), None)
    when = time_of(value["date"])
    report = make_report(
        value["email"],
        NAME,
        action=action,
        status=status,
        reply_code=reply_code_in(codes),
        diagnostic=diagnostic if re.search(r"[^\W\d]{3}", diagnostic) else None,
        last_attempt=when,
    )
    campaign = clean(text_of(value.get("campaign")), 998)
    return Notice(
        kind=kind,
        recognizer=NAME,
        identity="",
        reports=(report,),
        original=Original(
            message_id=message_id(text_of(value.get("message_id"))),
            to=report.recipient,
            campaign={"campaign": campaign} if campaign else {},
        ),
        sent_at=when,
        text=clean(diagnostic, 4000),
    )

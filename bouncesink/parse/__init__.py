"""PURE. Arrival -> Notice. Never raises: what goes wrong is `damage` of the Notice.

MemoryError alone goes through, to whoever set the limit.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from bouncesink.identity import body_identity
from bouncesink.model import Arrival, DsnAction, Kind, Notice, Original, Report
from bouncesink.parse import arf, autoreply, dsn, mime, requests
from bouncesink.parse.charset import clean
from bouncesink.parse.dates import parse_date
from bouncesink.parse.events import parse_event
from bouncesink.parse.formats import RECOGNIZERS
from bouncesink.parse.message import Found, Message, header_section
from bouncesink.parse.original import message_id, original_of, verp_token
from bouncesink.parse.told import parse_told
from bouncesink.parse.unwrap import Unwrapped, attached, is_notification, unwrap

MAX_TEXT = 4000
"""Characters of a Notice's text."""
MAX_VALUE = 998
MAX_REPORTS = 500
MAX_RESULTS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """`campaign_headers` are names of header fields that tell the campaign, before our own."""

    campaign_headers: tuple[str, ...] = ()


def parse(arrival: Arrival, options: Options = Options()) -> Notice:
    """Say what an arrival is and what it says of whom."""
    try:
        if provider := arrival.told_by:
            return parse_told(provider, arrival.raw, options.campaign_headers)
        if arrival.media_type == "application/json":
            return parse_event(arrival.raw)
        return _parse_mail(arrival, options)
    except MemoryError:
        raise
    except Exception as error:
        return unreadable(arrival, f"{type(error).__name__} while reading")


def warm_up() -> None:
    """Import what takes long now, so that the first mail does not wait for it."""
    mime.warm_up()


def unreadable(arrival: Arrival, damage: str) -> Notice:
    """Make the Notice of an arrival that could not be read at all."""
    return Notice(Kind.UNREADABLE, "none", body_identity(arrival.raw), damage=(damage,))


@dataclass(frozen=True, slots=True)
class _Step:
    """A recogniser by its name. Its failure is damage, and the next one's turn."""

    name: str
    recognize: Callable[[Message], Found | None]
    hints: tuple[str, ...] = ()

    def is_hinted(self, message: Message) -> bool:
        """Whether it is worth a try."""
        return not self.hints or any(map(message.intro.__contains__, self.hints))


def _formats(message: Message) -> Found | None:
    return next((found for _, found in _tried(_FORMATS, message, [])), None)


_FORMATS = tuple(_Step(module.NAME, module.recognize, module.HINTS) for module in RECOGNIZERS)

_ORDER = (
    # By sender and link, and from a noreply address: before anything that looks at senders.
    _Step(requests.FORWARDING, requests.forwarding_confirmation),
    # By MIME type. A complaint can hold a bounce, never the other way round.
    _Step(arf.NAME, arf.recognize),
    # By MIME type: the standard's fields are worth more than any text.
    _Step(dsn.NAME, lambda message: dsn.recognize(message, _formats)),
    # By wording. Bounces before replies: daemons also set Auto-Submitted (RFC 3834, section 5).
    *_FORMATS,
    # Vacation texts, challenges and read receipts: machines that answer for a person.
    _Step(autoreply.NAME, autoreply.recognize),
    # A wish that a person wrote: whatever a machine wrote has been taken by now.
    _Step(requests.UNSUBSCRIBE, requests.unsubscribe_request),
)


def _tried(
    steps: Iterable[_Step], message: Message, damage: list[str]
) -> Iterator[tuple[str, Found]]:
    for step in steps:
        try:
            found = step.recognize(message) if step.is_hinted(message) else None
        except MemoryError:
            raise
        except Exception as error:
            damage.append(f"{step.name}: {type(error).__name__}")
        else:
            if found is not None:
                yield step.name, found


def _parse_mail(arrival: Arrival, options: Options) -> Notice:
    root, damage = mime.parse(arrival.raw)
    # What came from a file has no envelope: its "" is not the null reverse-path.
    outer = Message(root, arrival.envelope_from if arrival.envelope_to else None)
    inner = unwrap(outer, damage)
    name, found = _recognise(inner.message, damage)
    if found.kind is Kind.UNREADABLE and (enclosed := attached(inner.message, damage)):
        # A gateway's notification that says nothing itself, around one that does.
        deeper = _recognise(enclosed, damage)
        if deeper[1].reports:
            (name, found), inner = deeper, replace(inner, message=enclosed)
    if len(found.reports) > MAX_REPORTS:
        damage.append("recipients")
    notice = _notice(arrival, options, outer, inner, name, found)
    return replace(notice, damage=tuple(dict.fromkeys(damage))) if damage else notice


def _recognise(message: Message, damage: list[str]) -> tuple[str, Found]:
    for named in _tried(_ORDER, message, damage):
        return named
    if is_notification(message.headers, message.root):
        # A mail system wrote it, and in no form that we know: for a person, not for a guess.
        return "none", Found(kind=Kind.UNREADABLE)
    return "human", Found(kind=Kind.HUMAN)


def _notice(  # noqa: PLR0913, PLR0917  the sources of one value
    arrival: Arrival,
    options: Options,
    outer: Message,
    inner: Unwrapped,
    name: str,
    found: Found,
) -> Notice:
    message = inner.message
    results = outer.headers.all("authentication-results")[:MAX_RESULTS]
    return Notice(
        kind=found.kind or kind_of(found.reports),
        recognizer=name,
        identity=message_id(message.headers.get("message-id"))
        or body_identity(message.root.raw.strip().encode("latin-1", "replace")),
        reports=found.reports[:MAX_REPORTS],
        original=_original(arrival, options, message, found),
        sent_at=parse_date(message.headers.get("date")),
        from_=clean(message.from_, MAX_VALUE) or None,
        subject=clean(message.subject, MAX_VALUE) or None,
        text=clean(message.text[: 2 * MAX_TEXT].strip(), MAX_TEXT),
        via=inner.via,
        authentication_results=tuple(clean(each, MAX_VALUE) for each in results),
        feedback_type=_clean(found.feedback_type, 100),
        confirmation_code=_clean(found.confirmation_code, 20),
        confirmation_link=_clean(found.confirmation_link, MAX_VALUE),
        alternative=_clean(found.alternative, 400),
    )


_KINDS = {
    DsnAction.FAILED: Kind.FAILURE,
    DsnAction.DELAYED: Kind.DELAYED,
    DsnAction.EXPANDED: Kind.EXPANDED,
    DsnAction.RELAYED: Kind.RELAYED,
    DsnAction.DELIVERED: Kind.DELIVERED,
}
"""Worst first: a notification with mixed fates is what its worst one is."""


def kind_of(reports: tuple[Report, ...]) -> Kind:
    """Name a notification after its worst report; one without reports tells of a failure."""
    actions = {report.action for report in reports}
    return next((kind for action, kind in _KINDS.items() if action in actions), Kind.FAILURE)


def _original(arrival: Arrival, options: Options, message: Message, found: Found) -> Original:
    headers = message.returned
    if headers is None:
        headers = header_section(found.returned_text.encode("utf-8", "replace").decode("latin-1"))
    original = original_of(headers, options.campaign_headers)
    if original.message_id is None and found.reports:
        original = replace(original, message_id=_referred_to(message))
    token = verp_token(arrival.envelope_to) or verp_token(_path(headers.get("return-path")))
    if token:
        original = replace(original, campaign={**original.campaign, "verp": token})
    return original


def _referred_to(message: Message) -> str | None:
    """Find the original's Message-ID where no header section came back, as with Gmail."""
    fields = (group.get("x-original-message-id") for group in message.delivery_status)
    values = (next(filter(None, fields), None), message.headers.get("in-reply-to"))
    return next(filter(None, map(message_id, values)), None)


def _path(value: str | None) -> str:
    return (value or "").strip().strip("<>")[:MAX_VALUE]


def _clean(value: str | None, limit: int) -> str | None:
    return clean(value, limit) or None if value else None

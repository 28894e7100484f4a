"""Whether a bounce is about mail we sent, and all the ways to pretend that it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink import config, verp
from bouncesink.config import Policy
from bouncesink.dkim_check import Signature
from bouncesink.fold import decide, fold
from bouncesink.model import (
    ActionKind,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Notice,
    Original,
    Report,
    TrustLevel,
    Verdict,
)
from bouncesink.trust import Knowledge, assess

KEY = b"k" * 32
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LEAD, OTHER_LEAD = "lead@example.com", "other@example.com"
MAILBOX, SINK = "sales@example.org", "bounces@example.org"
SENT_ID = "20260309.1@example.org"

MAILBOXES = Knowledge(mailboxes=frozenset({MAILBOX}), is_lead=True, now=NOW)
SIGNED = replace(MAILBOXES, signed_mailboxes=frozenset({MAILBOX}), verp_keys=(KEY,))
SENDS = replace(MAILBOXES, sends_complete=True)


def with_our_signature(knowledge, to=LEAD, from_=f"Sales <{MAILBOX}>"):
    return replace(knowledge, dkim=Signature(verifies=True, from_=from_, to=to))


def with_our_server(knowledge):
    return replace(knowledge, authserv_id="mx.example.org")


def path_for(address, days_ago=1, key=KEY, separator="+"):
    day = (NOW - timedelta(days=days_ago)).date()
    return verp.return_path(SINK, address, key, day, separator)


def tampered(path):
    place = path.index("@") - 1
    return path[:place] + ("b" if path[place] == "a" else "a") + path[place + 1 :]


def notice(recipient=LEAD, *, sent_at=NOW, via=(), kind=Kind.FAILURE, results=(), **original):
    fields = {
        "message_id": SENT_ID,
        "from_": f"Sales <{MAILBOX}>",
        "to": recipient,
        "date": NOW - timedelta(days=1),
    }
    return Notice(
        kind=kind,
        recognizer="rfc3464",
        identity="<dsn@example.net>",
        reports=(Report(recipient, DsnAction.FAILED, "rfc3464", status="5.1.1"),),
        original=Original(**fields | original),
        sent_at=sent_at,
        via=via,
        authentication_results=results,
    )


def level(knowledge, said, envelope_to=SINK):
    return assess(said, said.reports[0], envelope_to, knowledge).level


def test_with_nothing_to_compare_with_nothing_is_checked():
    trust = assess(notice(), notice().reports[0], SINK, Knowledge(is_lead=True, now=NOW))
    assert trust.level is TrustLevel.UNCHECKED
    assert trust.signals == ("nothing configured to compare with",)


def test_a_message_id_that_we_know_never_makes_a_bounce_less_sure():
    known = Knowledge(known_send=True, now=NOW)
    assert level(known, notice()) is TrustLevel.UNCHECKED
    assert level(replace(known, sent_to=LEAD), notice()) is TrustLevel.PROVEN


def test_our_mailbox_and_a_lead_are_plausible():
    assert level(MAILBOXES, notice()) is TrustLevel.PLAUSIBLE
    assert level(MAILBOXES, notice(from_=MAILBOX.upper(), to=None)) is TrustLevel.PLAUSIBLE


@pytest.mark.parametrize(
    "field",
    [
        "{}",
        "<{}>",
        "Team, Sales <{}>",
        '"Sales" <{}>, <x@example.net>',
        "{} (Sales)",
        "x@example.net, {}",
        "=?utf-8?q?Sales?= <{}>",
    ],
)
def test_returned_fields_are_read_however_they_are_written(field):
    said = notice(from_=field.format(MAILBOX), to=field.format(LEAD.upper()))
    assert level(MAILBOXES, said) is TrustLevel.PLAUSIBLE


def test_an_expanded_alias_is_known_by_the_address_that_was_mailed():
    said = notice()
    report = replace(said.reports[0], recipient="x@example.net", original_recipient=LEAD)
    assert assess(said, report, SINK, MAILBOXES).level is TrustLevel.PLAUSIBLE
    assert assess(said, report, path_for(LEAD), SIGNED).level is TrustLevel.PROVEN


@pytest.mark.parametrize("separator", ["+", "-"])
def test_a_signed_return_path_is_proof(separator):
    envelope_to = path_for(LEAD, separator=separator)
    assert level(SIGNED, notice(), envelope_to) is TrustLevel.PROVEN
    # Even when nothing of the message came back.
    bare = notice(message_id=None, from_=None, to=None, date=None)
    assert level(replace(SIGNED, mailboxes=frozenset()), bare, envelope_to) is TrustLevel.PROVEN


def test_a_signed_return_path_that_the_bounce_came_through_is_proof():
    assert level(SIGNED, notice(via=(path_for(LEAD),))) is TrustLevel.PROVEN


def test_a_mailbox_that_cannot_sign_is_plausible_without():
    gmail = replace(SIGNED, signed_mailboxes=frozenset())
    assert level(gmail, notice()) is TrustLevel.PLAUSIBLE
    assert level(SIGNED, notice()) is TrustLevel.DOUBTFUL


def test_a_known_send_to_this_address_is_proof():
    known = replace(SENDS, known_send=True, sent_to=LEAD, sent_at=NOW - timedelta(days=1))
    assert level(known, notice()) is TrustLevel.PROVEN
    assert level(known, notice(from_=None, to=None)) is TrustLevel.PROVEN
    unrecorded = replace(known, sent_to=None)
    assert level(unrecorded, notice()) is TrustLevel.PLAUSIBLE
    assert level(unrecorded, notice(from_=None)) is TrustLevel.DOUBTFUL
    signed = replace(SIGNED, known_send=True, sent_to=LEAD)
    assert level(signed, notice()) is TrustLevel.PROVEN


@pytest.mark.parametrize("to", [LEAD, f"The Lead <{LEAD.upper()}>", f'"x, y" <{LEAD}>'])
def test_our_dkim_signature_is_proof_for_the_one_it_names(to):
    assert level(with_our_signature(SIGNED, to), notice(from_=None, to=None)) is TrustLevel.PROVEN


@pytest.mark.parametrize(
    "to", [f"{LEAD}, {OTHER_LEAD}", f'"Mx <{LEAD}>" <{OTHER_LEAD}>', "undisclosed-recipients:;", ""]
)
def test_who_got_the_message_too_could_use_our_dkim_signature(to):
    assert level(with_our_signature(SIGNED, to), notice()) is TrustLevel.DOUBTFUL
    assert level(with_our_signature(MAILBOXES, to), notice()) is TrustLevel.PLAUSIBLE


def test_a_broken_dkim_signature_says_nothing():
    broken = Signature(verifies=False)
    assert level(replace(MAILBOXES, dkim=broken), notice()) is TrustLevel.PLAUSIBLE
    assert level(replace(SIGNED, dkim=broken), notice(), path_for(LEAD)) is TrustLevel.PROVEN


def test_our_server_notes_who_is_authentic_and_doubts_who_is_not():
    def signals(results, knowledge=MAILBOXES):
        said = notice(results=results)
        trust = assess(said, said.reports[0], SINK, with_our_server(knowledge))
        return trust.level, [signal for signal in trust.signals if "our mail server" in signal]

    passed = "mx.example.org; dkim=pass header.d={}"
    authentic = "sender is authentic, our mail server says"
    theirs = "sender is authentic and of the recipient's domain, our mail server says"
    failed = "sender fails DMARC, our mail server says"
    assert signals([passed.format("example.net")]) == (TrustLevel.PLAUSIBLE, [authentic])
    assert signals([passed.format("notexample.com")]) == (TrustLevel.PLAUSIBLE, [authentic])
    assert signals([passed.format("example.com")]) == (TrustLevel.PLAUSIBLE, [theirs])
    assert signals([passed.format("mx.example.com")]) == (TrustLevel.PLAUSIBLE, [theirs])
    assert signals(["mx.example.org; dmarc=fail"]) == (TrustLevel.DOUBTFUL, [failed])
    assert signals(["mx.example.org; spf=fail; dkim=fail"]) == (TrustLevel.PLAUSIBLE, [])
    # With nothing else to compare with, a forged sender is reason enough.
    nothing = Knowledge(now=NOW)
    assert signals(["mx.example.org; dmarc=fail"], nothing) == (TrustLevel.DOUBTFUL, [failed])
    assert signals([passed.format("example.com")], nothing) == (TrustLevel.UNCHECKED, [])
    # What is proven is so whoever brings it: many servers' bounces fail DMARC.
    said = notice(results=["mx.example.org; dmarc=fail"])
    assert level(with_our_server(SIGNED), said, path_for(LEAD)) is TrustLevel.PROVEN


def test_a_way_in_that_vouches_is_proof_unless_it_is_contradicted():
    said = notice(from_=None, to=None)
    for known in (Knowledge(now=NOW), MAILBOXES, SENDS, SIGNED):
        assert level(replace(known, vouched=True), said) is TrustLevel.PROVEN
    wrong = replace(HAS_SENT, vouched=True)
    assert level(wrong, said) is TrustLevel.CONTRADICTED


def test_without_any_leads_to_compare_with_the_mailbox_is_enough():
    unknown = replace(MAILBOXES, is_lead=False, leads_known=False)
    assert level(unknown, notice()) is TrustLevel.PLAUSIBLE


def test_an_unsubscribe_request_is_about_who_sent_it():
    said = replace(notice(kind=Kind.UNSUBSCRIBE, to=None), reports=(), from_=LEAD)
    assert assess(said, None, path_for(LEAD), SIGNED).level is TrustLevel.PROVEN
    assert assess(said, None, path_for(OTHER_LEAD), SIGNED).level is TrustLevel.CONTRADICTED
    assert assess(said, None, SINK, SIGNED).level is TrustLevel.DOUBTFUL


def test_what_the_config_knows():
    text = """
    [[mailboxes]]
    address = "Sales@Example.org"
    [[mailboxes]]
    address = "sales@gmail.example"
    verp = false
    [trust]
    verp_max_age_days = 9
    authserv_id = "mx.example.org"
    """
    known = Knowledge.of(config.parse(text, Path("bouncesink.toml")), [KEY])
    assert known.mailboxes == {MAILBOX, "sales@gmail.example"}
    assert known.signed_mailboxes == {MAILBOX}
    assert (known.verp_keys, known.verp_max_age_days) == ((KEY,), 9)
    assert known.authserv_id == "mx.example.org"


# An attacker who can reach bounces@ and knows a lead's address, our domain, what our Message-IDs
# look like, and, having been mailed by us, a Message-ID and a return path of their own.

DAYS_OLD = timedelta(days=3)
HAS_SENT = replace(SENDS, known_send=True, sent_to=OTHER_LEAD, sent_at=NOW - timedelta(days=1))

FORGERIES = {
    "a DSN that returns nothing": (
        MAILBOXES,
        notice(message_id=None, from_=None, to=None, date=None),
        SINK,
        "no From came back",
    ),
    "a made-up mailbox of our domain": (
        MAILBOXES,
        notice(from_="info@example.org"),
        SINK,
        "returned From is not one of our mailboxes",
    ),
    "our mailbox as the display name only": (
        MAILBOXES,
        notice(from_=f'"{MAILBOX}" <x@example.net>'),
        SINK,
        "returned From is not one of our mailboxes",
    ),
    "our mailbox below a longer domain": (
        MAILBOXES,
        notice(from_=f"{MAILBOX}.example.net"),
        SINK,
        "returned From is not one of our mailboxes",
    ),
    "our mailbox, but somebody who is no lead": (
        replace(MAILBOXES, is_lead=False),
        notice(),
        SINK,
        "recipient is not a lead",
    ),
    "our mailbox, copied from a mail, where we sign": (
        SIGNED,
        notice(),
        SINK,
        "return path is not signed",
    ),
    "a real bounce with another recipient put in": (
        MAILBOXES,
        notice(to=OTHER_LEAD),
        SINK,
        "returned message was to another address",
    ),
    "a Message-ID of the right form": (
        SENDS,
        notice(message_id="20260309.2@example.org"),
        SINK,
        "returned Message-ID is not one we sent",
    ),
    "no Message-ID where all sends are known": (
        SENDS,
        notice(message_id=None),
        SINK,
        "no Message-ID came back",
    ),
    "a real Message-ID that was sent to another": (
        HAS_SENT,
        notice(),
        SINK,
        "returned Message-ID is of a message to another address",
    ),
    "a stolen return path of another address": (
        SIGNED,
        notice(),
        path_for(OTHER_LEAD),
        "signed return path for another address",
    ),
    "a stolen return path, and our mailbox does not sign": (
        replace(SIGNED, signed_mailboxes=frozenset()),
        notice(),
        path_for(OTHER_LEAD),
        "signed return path for another address",
    ),
    "a stolen return path beside a real Message-ID": (
        replace(SIGNED, known_send=True, sent_to=LEAD),
        notice(),
        path_for(OTHER_LEAD),
        "signed return path for another address",
    ),
    "a stolen return path in a header of the way": (
        SIGNED,
        notice(via=(path_for(OTHER_LEAD),)),
        SINK,
        "signed return path for another address",
    ),
    "an expired return path of this address": (
        replace(SIGNED, signed_mailboxes=frozenset()),
        notice(),
        path_for(LEAD, days_ago=400),
        "signed return path has expired",
    ),
    "a return path signed with a made-up key": (
        SIGNED,
        notice(),
        path_for(LEAD, key=b"guess" * 9),
        "return path has a signature that is not ours",
    ),
    "a return path with the token tampered with": (
        SIGNED,
        notice(),
        tampered(path_for(LEAD)),
        "return path has a signature that is not ours",
    ),
    "forged Authentication-Results": (
        SIGNED,
        notice(results=("mx.example.org; dkim=pass header.d=example.org",)),
        SINK,
        "return path is not signed",
    ),
    "Authentication-Results with our server's id, below those of another": (
        with_our_server(MAILBOXES),
        notice(
            from_=None,
            results=("mx.example.net; none", "mx.example.org; dmarc=pass header.from=example.com"),
        ),
        SINK,
        "no From came back",
    ),
    "an authentic sender at the lead's provider, no mailbox of ours": (
        with_our_server(MAILBOXES),
        notice(from_=None, results=("mx.example.org; dmarc=pass header.from=example.com",)),
        SINK,
        "of the recipient's domain",
    ),
    "DMARC failed, and Authentication-Results that say otherwise below": (
        with_our_server(MAILBOXES),
        notice(
            results=(
                "mx.example.org; dmarc=fail header.from=example.com",
                "mx.example.org; dmarc=pass header.from=example.com",
            )
        ),
        SINK,
        "sender fails DMARC",
    ),
    "headers that we signed to another": (
        with_our_signature(MAILBOXES, OTHER_LEAD),
        notice(to=OTHER_LEAD),
        SINK,
        "our DKIM signature verifies, but for another address",
    ),
    "headers that we signed to another, below a To that we did not": (
        with_our_signature(MAILBOXES, OTHER_LEAD),
        notice(),
        SINK,
        "our DKIM signature verifies, but for another address",
    ),
    "headers that we signed to another, with another To": (
        replace(SIGNED, dkim=Signature(verifies=False)),
        notice(),
        SINK,
        "our DKIM signature does not verify",
    ),
    "headers that our provider signed for a stranger": (
        with_our_signature(MAILBOXES, from_="x@example.org"),
        notice(from_="x@example.org"),
        SINK,
        "our DKIM signature verifies, but not for one of our mailboxes",
    ),
    "headers that we signed, in a bounce that is older": (
        with_our_signature(SIGNED),
        notice(sent_at=NOW - 2 * DAYS_OLD),
        SINK,
        "bounce is older than the message it is about",
    ),
    "a forged way through our mailbox": (
        MAILBOXES,
        notice(from_=None, via=(MAILBOX, SINK)),
        SINK,
        "no From came back",
    ),
    "dated in the future": (
        MAILBOXES,
        notice(sent_at=NOW + DAYS_OLD),
        SINK,
        "bounce is dated in the future",
    ),
    "older than the message it returns": (
        MAILBOXES,
        notice(sent_at=NOW - 2 * DAYS_OLD),
        SINK,
        "bounce is older than the message it is about",
    ),
    "older than our send, with its Message-ID": (
        replace(HAS_SENT, sent_to=LEAD),
        notice(sent_at=NOW - 2 * DAYS_OLD, date=None),
        SINK,
        "bounce is older than the message it is about",
    ),
    "a date as old as time": (
        MAILBOXES,
        notice(sent_at=datetime.min),
        SINK,
        "bounce is older than the message it is about",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_bounce_changes_nothing_and_shows_in_review_with_the_reason(name):
    knowledge, said, envelope_to, reason = FORGERIES[name]
    trust = assess(said, said.reports[0], envelope_to, knowledge)
    assert trust.level in (TrustLevel.DOUBTFUL, TrustLevel.CONTRADICTED)
    assert any(reason in signal for signal in trust.signals)
    for category in (Category.USER_UNKNOWN, Category.COMPLAINT, Category.UNSUBSCRIBE):
        events = [
            Event(
                id=f"{category}-{n}",
                kind=Kind.FAILURE,
                address=LEAD,
                occurred_at=NOW,
                recorded_at=NOW,
                source="lmtp",
                report=said.reports[0],
                verdict=Verdict(category, "test-rule"),
                trust=trust,
            )
            for n in range(4)
        ]
        require = TrustLevel.PLAUSIBLE
        contact = fold(LEAD, events, Policy(), require)
        assert contact.mailable
        assert contact == fold(LEAD, [], Policy(), require)
        leads = [Lead("L-1", LEAD, LEAD)]
        actions = decide(contact, leads, events, Policy(), require, NOW)
        assert {action.kind for action in actions} == {ActionKind.REVIEW}
        assert all(reason in action.payload["signals"] for action in actions)


@given(
    st.builds(
        notice,
        st.sampled_from([LEAD, OTHER_LEAD, "", "@", "\ud800@\x00"]),
        sent_at=st.none() | st.datetimes() | st.just(NOW),
        via=st.lists(st.sampled_from([SINK, path_for(LEAD), "x"]) | st.text(), max_size=12),
        message_id=st.none() | st.text(max_size=9),
        from_=st.none() | st.just(MAILBOX) | st.text(max_size=50),
        to=st.none() | st.just(LEAD) | st.text(max_size=50),
        date=st.none() | st.datetimes(timezones=st.just(UTC)) | st.datetimes(),
    ),
    st.sampled_from([SINK, "", path_for(LEAD), path_for(OTHER_LEAD)]),
    st.sampled_from([MAILBOXES, SIGNED, SENDS, HAS_SENT, Knowledge(verp_keys=(KEY,))]),
    st.none() | st.builds(Signature, st.booleans(), st.text(), st.just(LEAD) | st.text()),
)
def test_any_notice_gets_a_level_and_a_reason(said, envelope_to, knowledge, signature):
    said, knowledge = replace(said, via=tuple(said.via)), replace(knowledge, dkim=signature)
    trust = assess(said, said.reports[0], envelope_to, knowledge)
    assert trust.signals
    if trust.level is TrustLevel.PROVEN:
        assert any("this address" in signal for signal in trust.signals)

"""Copies of a notification, the returned message's identity, and what is asked of us."""

from datetime import UTC, datetime

import pytest
from parse_support import ORIGINAL, dsn, failed, read, real

from bouncesink.model import Kind
from bouncesink.parse import Options

BOUNCE = dsn(failed("lead@example.com"))
GMAIL_HEAD = (
    "Delivered-To: bounces@sink.example\n"
    "X-Forwarded-To: bounces@sink.example\n"
    "X-Forwarded-For: sales@example.org bounces@sink.example\n"
    "Delivered-To: sales@example.org\n"
)
WRAPPED = f"""\
From: Sales <sales@example.org>
To: bounces@sink.example
Subject: Fwd: Undelivered
Message-ID: <forward-1@example.org>
Content-Type: multipart/mixed; boundary="W"

--W
Content-Type: text/plain

See below.

--W
Content-Type: message/rfc822

{BOUNCE}
--W--
"""
INLINE = """\
From: Sales <sales@example.org>
To: bounces@sink.example
Subject: Fwd: failure notice
Message-ID: <forward-2@example.org>
Content-Type: text/plain; charset=utf-8

---------- Forwarded message ---------
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
Date: Sat, 21 Nov 2026 at 10:05
Subject: failure notice
To: <sales@example.org>


Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<lead@example.com>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no such user
"""


def test_an_auto_forwarded_copy_is_the_same_notification() -> None:
    direct, copy = read(BOUNCE), read(GMAIL_HEAD + BOUNCE)
    assert copy.identity == direct.identity == "bounce-1@mx.example.net"
    assert copy.reports == direct.reports
    assert copy.via[0] == "sales@example.org"
    assert "bounces@sink.example" in copy.via


def test_a_workspace_route_names_the_mailbox_first() -> None:
    copy = read("X-Gm-Original-To: sdr2@example.org\n" + GMAIL_HEAD + BOUNCE)
    assert copy.via[0] == "sdr2@example.org"


@pytest.mark.parametrize("depth", [1, 3])
def test_an_attached_copy_is_opened(depth: int) -> None:
    mail = BOUNCE
    for level in range(depth):
        mail = WRAPPED.replace(BOUNCE, mail).replace('"W"', f'"W{level}"')
        mail = mail.replace("--W\n", f"--W{level}\n").replace("--W--", f"--W{level}--")
        mail = mail.replace("Subject: Fwd: Undelivered", "Subject: Fwd: see this")
    copy = read(mail)
    assert copy.identity == "bounce-1@mx.example.net"
    assert [r.recipient for r in copy.reports] == ["lead@example.com"]
    assert copy.original.message_id == "orig-1@example.org"
    assert "sales@example.org" in copy.via


def test_copies_deeper_than_we_follow_are_said_to_be() -> None:
    mail = BOUNCE
    for level in range(8):
        mail = (
            f"From: a@example.org\nSubject: hello\nContent-Type: multipart/mixed; boundary=D{level}"
            f"\n\n--D{level}\nContent-Type: message/rfc822\n\n{mail}\n--D{level}--\n"
        )
    assert read(mail).reports == ()


def test_an_inline_copy_is_read_and_marked() -> None:
    copy = read(INLINE)
    assert copy.kind is Kind.FAILURE
    assert [r.recipient for r in copy.reports] == ["lead@example.com"]
    assert "forwarded inline" in copy.damage


def test_a_person_who_quotes_a_bounce_has_written_no_bounce() -> None:
    quoted = "".join(f"> {line}\n" for line in BOUNCE.splitlines())
    mail = (
        "From: Someone <someone@example.com>\nTo: sales@example.org\n"
        f"Subject: Re: your mail\n\nI got this from my server:\n\n{quoted}"
    )
    notice = read(mail)
    assert notice.kind is Kind.HUMAN
    assert notice.reports == ()


def test_a_bounce_of_a_bounce_stays_closed() -> None:
    inner = dsn(failed("innocent@example.com"))
    outer = dsn(failed("sales@example.org"), original="Return-Path: <>\n" + inner)
    notice = read(outer)
    assert [r.recipient for r in notice.reports] == ["sales@example.org"]
    assert notice.original.null_sender


def test_without_a_message_id_the_body_is_the_identity() -> None:
    anonymous = BOUNCE.replace("Message-ID: <bounce-1@mx.example.net>\n", "")
    one, other = read(anonymous), read("Received: by x\n" + anonymous.replace("\n", "\r\n"))
    assert one.identity.startswith("sha256:")
    assert one.identity == other.identity
    assert read(anonymous.replace("5.1.1", "5.2.1")).identity != one.identity


def test_the_original_is_identified() -> None:
    original = read(BOUNCE).original
    assert original.message_id == "orig-1@example.org"
    assert (original.from_, original.to) == ("Sales <sales@example.org>", "lead@example.com")
    assert original.subject == "A question"
    assert original.date == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert original.campaign == {"x-campaign": "autumn-3"}
    head = ORIGINAL.partition("\n\n")[0] + "\n"
    assert original.header_block == head.replace("\n", "\r\n").encode()
    assert not original.null_sender


def test_campaign_headers_can_be_named() -> None:
    marked = ORIGINAL.replace(
        "X-Campaign", "X-Smartlead-Campaign-Id: 7\nX-Ours: one\nFeedback-ID: a:b\nX-Campaign"
    )
    mail = dsn(failed(), original=marked)
    campaign = read(mail, Options(campaign_headers=("X-Ours",))).original.campaign
    assert list(campaign.items()) == [
        ("x-ours", "one"),
        ("x-smartlead-campaign-id", "7"),
        ("x-campaign", "autumn-3"),
        ("feedback-id", "a:b"),
    ]


@pytest.mark.parametrize(
    ("address", "token"),
    [
        ("bounces+t0ken@example.org", "t0ken"),
        ("bounces-t0ken@example.org", "t0ken"),
        ("bounces@example.org", None),
        ("", None),
    ],
)
def test_a_verp_token_is_kept(address: str, token: str | None) -> None:
    assert read(BOUNCE, envelope_to=address).original.campaign.get("verp") == token


def test_gmail_names_the_original_where_it_returns_nothing() -> None:
    mail = dsn(
        failed(),
        original="",
        reporting="Reporting-MTA: dns; googlemail.com\nX-Original-Message-ID: <o-2@example.org>\n",
    )
    assert read(mail).original.message_id == "o-2@example.org"
    mail = dsn(failed(), original="", head="In-Reply-To: <o-3@example.org>\n")
    assert read(mail).original.message_id == "o-3@example.org"


def test_a_notice_is_bounded_and_clean() -> None:
    evil = "\x1b]0;pwned\x07\x00\u202e" * 100
    mail = dsn(
        failed("a@example.com", f"Diagnostic-Code: smtp; 550 {evil}" + "x" * 9000),
        text=evil,
        original=f"Subject: {evil}\nMessage-ID: <{'i' * 5000}>\nX-Campaign: {evil}\n",
        head=f"X-A: {evil}\n",
    )
    notice = read(mail)
    shown = repr(notice).encode("unicode_escape") + (notice.text + str(notice.subject)).encode()
    assert b"\x1b" not in shown
    assert b"\x00" not in shown
    assert "\u202e" not in notice.text + str(notice.reports) + str(notice.original.subject)
    assert len(notice.reports[0].diagnostic or "") <= 2000
    assert len(notice.original.message_id or "") <= 998
    assert len(notice.original.header_block) <= 64 * 1024


CONFIRMATION = """\
From: Gmail Team <forwarding-noreply@google.com>
To: bounces@sink.example
Subject: (#123456789) Gmail-Weiterleitungsbestätigung
Content-Type: text/plain; charset=utf-8

https://mail-settings.google.com/mail/vf-%5BANGjdJ8-abc%5D-def_ghi

Abbrechen: https://mail-settings.google.com/mail/uf-%5BANGjdJ8-abc%5D-def_ghi
"""


def test_gmails_forwarding_confirmation() -> None:
    notice = read(CONFIRMATION)
    assert notice.kind is Kind.FORWARDING_CONFIRMATION
    assert notice.confirmation_code == "123456789"
    assert notice.confirmation_link == (
        "https://mail-settings.google.com/mail/vf-%5BANGjdJ8-abc%5D-def_ghi"
    )


@pytest.mark.parametrize(
    "sender", ["forwarding-noreply@google.com.example", "forwarding-noreply@example.com"]
)
def test_only_google_confirms_for_google(sender: str) -> None:
    forged = CONFIRMATION.replace("forwarding-noreply@google.com", sender)
    assert read(forged).kind is not Kind.FORWARDING_CONFIRMATION


@pytest.mark.parametrize(
    ("subject", "body", "kind"),
    [
        ("unsubscribe", "", Kind.UNSUBSCRIBE),
        ("Re: Unsubscribe me please", "hi", Kind.UNSUBSCRIBE),
        ("Re: A question", "Please remove me from your list.\n\nOn Saturday", Kind.UNSUBSCRIBE),
        ("Re: A question", "STOP", Kind.UNSUBSCRIBE),
        ("Re: A question", "Please stop by on Monday, we would like to talk.", Kind.HUMAN),
        ("How to unsubscribe users in bulk", "A question.", Kind.HUMAN),
    ],
)
def test_a_wish_for_no_more_mail(subject: str, body: str, kind: Kind) -> None:
    mail = f"From: Lead <lead@example.com>\nTo: sales@example.org\nSubject: {subject}\n\n{body}\n"
    assert read(mail).kind is kind


def test_a_system_that_says_nothing_we_know_goes_to_a_person() -> None:
    mail = "From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: Note 7\n\nZork.\n"
    notice = read(mail)
    assert notice.kind is Kind.UNREADABLE
    assert notice.reports == ()


def test_authentication_results_are_those_of_the_outer_mail() -> None:
    inner = "Authentication-Results: mx.forged.example; spf=pass\n" + BOUNCE
    outer = "Authentication-Results: mx.example.org; spf=fail\n" + WRAPPED.replace(BOUNCE, inner)
    assert read(outer).authentication_results == ("mx.example.org; spf=fail",)


def test_verp_in_a_real_bounce() -> None:
    notice = read(real("postfix-verp"))
    assert notice.original.campaign["verp"].startswith("postfix.verp")

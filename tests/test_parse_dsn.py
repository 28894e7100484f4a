"""Delivery status notifications, by the standard and by what real servers make of it."""

from datetime import UTC, datetime

import pytest
from parse_support import dsn, failed, read, real

from bouncesink.model import DsnAction, Kind, Report


def only(mail: str | bytes):
    (report,) = read(mail).reports
    return report


def test_every_fact_of_a_group_is_read() -> None:
    report = only(
        dsn(
            """\
Original-Recipient: rfc822;team@example.com
Final-Recipient: RFC822; lead@example.com (expanded)
Action: failed
Status: 5.1.1 (no such user)
Remote-MTA: dns; mx.example.com (192.0.2.7)
Diagnostic-Code: smtp; 550-5.1.1 The account does not exist.
 550-5.1.1 Try double-checking
 550 5.1.1 the address
Last-Attempt-Date: Sat, 21 Nov 2026 10:04:00 +0100
Will-Retry-Until: Sun, 22 Nov 2026 10:04:00 +0100
"""
        )
    )
    assert report.recipient == "lead@example.com"
    assert report.original_recipient == "team@example.com"
    assert report.mailed == "team@example.com"
    assert report.action is DsnAction.FAILED
    assert (report.status, report.reply_code) == ("5.1.1", 550)
    assert report.remote_mta == "mx.example.com"
    assert report.reporting_mta == "mx.example.net"
    assert report.last_attempt == datetime(2026, 11, 21, 9, 4, tzinfo=UTC)
    assert report.diagnostic is not None
    assert report.diagnostic.startswith("550-5.1.1 The account does not exist.")
    assert report.diagnostic.endswith("the address")
    assert "\n" not in report.diagnostic


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("rfc822; lead@example.com", "lead@example.com"),
        ("rfc822;lead@example.com", "lead@example.com"),
        ("RFC822; <lead@example.com>", "lead@example.com"),
        ("lead@example.com", "lead@example.com"),
        ("rfc822; Lead Person <lead@example.com>", "lead@example.com"),
        ("rfc822; lead@example.com (a (nested) comment)", "lead@example.com"),
        ('rfc822; "a b"@example.com', '"a b"@example.com'),
        ('rfc822; "a(b)c"@example.com', '"a(b)c"@example.com'),
        (r"utf-8; j\x{F6}rg@m\x{FC}ller.example", "jörg@müller.example"),
        ("utf-8; 用户@example.com", "用户@example.com"),
        (r"utf-8; x\x{D800}@example.com", "x\ufffd@example.com"),
        ("rfc822; user+2Btag@example.com", "user+2Btag@example.com"),
        ("rfc822;\n lead@example.com", "lead@example.com"),
    ],
)
def test_addresses_are_taken_out_of_their_fields(field: str, address: str) -> None:
    assert (
        only(dsn(f"Final-Recipient: {field}\nAction: failed\nStatus: 5.1.1")).recipient == address
    )


def test_an_original_recipient_still_in_xtext_is_decoded_where_the_final_one_proves_it() -> None:
    report = only(dsn("Original-Recipient: rfc822;a+2Bb@example.com\n" + failed("a+b@example.com")))
    assert report.original_recipient == "a+b@example.com"
    plus = only(dsn("Original-Recipient: rfc822;a+2Bb@example.com\n" + failed("x@example.com")))
    assert plus.original_recipient == "a+2Bb@example.com"


def test_a_recipient_of_another_type_gives_way_to_the_one_that_was_mailed() -> None:
    report = only(
        dsn(
            "Final-Recipient: x400; /G=Some/S=One/C=US/\n"
            "Original-Recipient: rfc822;lead@example.com\nAction: failed\nStatus: 5.1.1"
        )
    )
    assert report.recipient == "lead@example.com"


@pytest.mark.parametrize(
    ("status", "diagnostic", "expected"),
    [
        ("5.1.1", "smtp; 550 5.7.1 no", "5.1.1"),
        ("5.0.0", "smtp; 550 5.2.1 disabled", "5.2.1"),
        ("5.0.0", "smtp; 452 4.2.2 full: retry timeout exceeded", "4.2.2"),
        ("5.0.0", "smtp; 550 no such user", "5.0.0"),
        ("5.0.0", "smtp; 550 see 192.5.1.1 please", "5.0.0"),
        ("", "smtp; 550 5.1.1 no", "5.1.1"),
        ("4.0.0", "smtp; 450-4.2.1 slow down", "4.2.1"),
        ("5.0.0 (undefined status)", "", "5.0.0"),
    ],
)
def test_the_status_is_the_field_unless_it_says_nothing(
    status: str, diagnostic: str, expected: str
) -> None:
    group = f"Final-Recipient: rfc822; lead@example.com\nAction: failed\nStatus: {status}"
    group += f"\nDiagnostic-Code: {diagnostic}" if diagnostic else ""
    assert only(dsn(group)).status == expected


@pytest.mark.parametrize(
    ("action", "expected", "kind"),
    [
        ("failed", DsnAction.FAILED, Kind.FAILURE),
        ("Failed (permanently)", DsnAction.FAILED, Kind.FAILURE),
        ("failure", DsnAction.FAILED, Kind.FAILURE),
        ("delayed", DsnAction.DELAYED, Kind.DELAYED),
        ("delivered", DsnAction.DELIVERED, Kind.DELIVERED),
        ("relayed", DsnAction.RELAYED, Kind.RELAYED),
        ("expanded", DsnAction.EXPANDED, Kind.EXPANDED),
        ("deliverable", DsnAction.DELIVERED, Kind.DELIVERED),
        ("undeliverable", DsnAction.FAILED, Kind.FAILURE),
        ("nonsense", DsnAction.FAILED, Kind.FAILURE),
    ],
)
def test_actions(action: str, expected: DsnAction, kind: Kind) -> None:
    notice = read(dsn(f"Final-Recipient: rfc822; a@example.com\nAction: {action}\nStatus: 5.1.1"))
    assert [r.action for r in notice.reports] == [expected]
    assert notice.kind is kind


def test_a_missing_action_follows_the_status() -> None:
    assert only(dsn("Final-Recipient: rfc822; a@example.com\nStatus: 2.0.0")).action == "delivered"
    assert only(dsn("Final-Recipient: rfc822; a@example.com\nStatus: 4.4.1")).action == "failed"


def test_mixed_fates_keep_each_its_own_facts() -> None:
    notice = read(
        dsn(
            failed("a@example.com", "Diagnostic-Code: smtp; 550 5.1.1 unknown"),
            "Final-Recipient: rfc822; b@example.com\nAction: delayed\nStatus: 4.4.1",
            "Final-Recipient: rfc822; c@example.com\nAction: relayed\nStatus: 2.1.9",
        )
    )
    assert notice.kind is Kind.FAILURE
    assert [(r.recipient, r.action.value, r.status, r.reply_code) for r in notice.reports] == [
        ("a@example.com", "failed", "5.1.1", 550),
        ("b@example.com", "delayed", "4.4.1", None),
        ("c@example.com", "relayed", "2.1.9", None),
    ]


def test_groups_without_empty_lines_between_them_are_parted() -> None:
    notice = read(dsn(failed("a@example.com") + "\n" + failed("b@example.com")))
    assert [r.recipient for r in notice.reports] == ["a@example.com", "b@example.com"]


def test_a_stray_empty_line_inside_a_group_does_not_part_it() -> None:
    report = only(dsn("Final-Recipient: rfc822; a@example.com\n\nAction: delayed\nStatus: 4.4.1"))
    assert (report.action, report.status) == (DsnAction.DELAYED, "4.4.1")


def test_what_the_returned_message_says_is_never_read() -> None:
    forged = "Subject: x\nMessage-ID: <o@example.org>\n\n" + dsn(failed("innocent@example.com"))
    notice = read(dsn(failed("lead@example.com"), original=forged))
    assert [r.recipient for r in notice.reports] == ["lead@example.com"]


@pytest.mark.parametrize("name", ["postfix-body-dsnlike", "opensmtpd-body-dsnlike"])
def test_a_body_that_looks_like_a_notification_accuses_nobody(name: str) -> None:
    assert [r.recipient for r in read(real(name)).reports] == ["r550-5.1.1-trap@reject.test"]


def test_a_reply_that_stands_only_in_the_text_is_taken_from_there() -> None:
    text = "<lead@example.com>: 552 5.2.2 Mailbox full,\n    try later\n\n<b@example.com>: other"
    report = only(dsn("Final-Recipient: rfc822; lead@example.com\nAction: failed", text=text))
    assert (report.status, report.reply_code) == ("5.2.2", 552)
    assert report.diagnostic == "552 5.2.2 Mailbox full, try later"


def test_a_local_name_is_completed_from_the_header_that_names_one_address() -> None:
    group = "Final-Recipient: rfc822; lead\nAction: failed\nStatus: 5.1.1"
    assert only(dsn(group)).recipient == "lead@example.com"
    assert only(dsn(group, original="Subject: x\n")).recipient == "lead"
    assert only(dsn(group, original="To: other@example.com\n")).recipient == "lead"


def test_a_mislabelled_status_part_is_found() -> None:
    mail = dsn(failed()).replace(
        "Content-Type: message/delivery-status", "Content-Type: text/plain"
    )
    assert only(mail).recipient == "lead@example.com"


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_status_part_is_read(encoding: str) -> None:
    import base64
    import quopri

    status = b"Reporting-MTA: dns; mx.example.net\n\n" + failed().encode()
    coded = base64.encodebytes(status) if encoding == "base64" else quopri.encodestring(status)
    head, _, rest = dsn(failed()).partition("Content-Type: message/delivery-status\n")
    tail = rest[rest.index("\n--B\n") :]
    mail = (
        f"{head}Content-Type: message/delivery-status\nContent-Transfer-Encoding: {encoding}\n\n"
        f"{coded.decode()}{tail}"
    )
    assert only(mail).recipient == "lead@example.com"


def test_a_broken_boundary_still_gives_the_fields_and_says_so() -> None:
    mail = dsn(failed()).replace('boundary="B"', 'boundary="OTHER"')
    notice = read(mail)
    assert [r.recipient for r in notice.reports] == ["lead@example.com"]
    assert notice.damage == ("MIME",)


REAL = [
    ("postfix-hard-511", "failure", [("r550-5.1.1-alice@reject.test", "failed", "5.1.1", 550)]),
    ("postfix-eai-hard", "failure", [("r550-5.1.1-用户@reject.test", "failed", "5.1.1", 550)]),
    ("exim-soft-452-4", "failure", [("r452-4.2.2-over@reject.test", "failed", "4.2.2", 452)]),
    ("opensmtpd-soft-452-2", "failure", [("r452-4.2.2-over@reject.test", "failed", "4.4.7", None)]),
    ("exim-success-relayed", "delivered", [("carol@reject.test", "delivered", "2.0.0", 250)]),
    (
        "postfix-bv",
        "failure",
        [
            ("ok@reject.test", "delivered", "2.1.5", 250),
            ("r550-5.1.1-bv@reject.test", "failed", "5.1.1", 550),
        ],
    ),
]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("name", "kind", "reports"), REAL, ids=[each[0] for each in REAL])
def test_real_servers(name: str, kind: str, reports: list[object], ends: bytes) -> None:
    notice = read(real(name).replace(b"\r\n", b"\n").replace(b"\n", ends))
    assert notice.kind == kind
    assert [
        (r.recipient, r.action.value, r.status, r.reply_code) for r in notice.reports
    ] == reports
    assert notice.damage == ()


def test_an_alias_keeps_the_address_that_was_mailed() -> None:
    (report,) = read(real("postfix-orcpt-utf8")).reports
    assert (report.recipient, report.mailed) == ("r550-5.1.1-ou@reject.test", "jörg@orig.test")


def test_exim_writes_octets_as_octal() -> None:
    (report,) = read(real("exim-hard-utf8reply")).reports
    assert report.diagnostic is not None
    assert "\\303" not in report.diagnostic
    assert not report.diagnostic.isascii()


def test_opensmtpd_says_the_reply_in_its_text_alone() -> None:
    (report,) = read(real("opensmtpd-hard-multiline")).reports
    assert report.status == "5.1.1"
    assert report.reply_code == 550
    assert report.diagnostic


OPENSMTPD = """\
From: Mailer Daemon <MAILER-DAEMON@mx.example.net>
To: bounces@example.com
Message-ID: <1@mx.example.net>
MIME-Version: 1.0
Content-Type: multipart/mixed;boundary="B"

--B
Content-Type: text/plain; charset=us-ascii

    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this email.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

{said}

    Below is a copy of the original message:

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

{groups}

--B
Content-Type: text/rfc822-headers

Received: from mail.example.com (mail.example.com [192.0.2.1])
\tby mx.example.net (OpenSMTPD) with ESMTPS id 28ed66b5 (TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO){one};
\tSun, 1 Nov 2026 10:00:00 +0000 (UTC)
Received: from client (client [192.0.2.2])
\tby mail.example.com (OpenSMTPD) with ESMTP id 1 for <stranger@example.org>;
\tSun, 1 Nov 2026 10:00:00 +0000 (UTC)
From: sales@example.com
To: lead@example.org
Message-ID: <1@example.com>

--B--
"""


def opensmtpd(said: dict[str, str], one: str = "") -> list[Report]:
    groups = [f"Final-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.0.0\n" for to in said]
    lines = [f"{to}: {words}" for to, words in said.items()]
    parts = {"said": "\n".join(lines), "groups": "\n".join(groups)}
    mail = OPENSMTPD.format(one=f"\n\tfor <{one}>" if one else "", **parts)
    return list(read(mail).reports)


def test_opensmtpd_says_of_each_recipient_only_its_own_reply() -> None:
    said = {
        "gone@example.org": "550 5.1.1 <gone@example.org>: User unknown",
        "odd@example.org": "550 rejected",
        "full@example.org": "552 5.2.2 over quota",
        "blocked@example.org": "554 5.7.1 Client host blocked using bl.example.net",
    }
    assert {r.recipient: r.diagnostic for r in opensmtpd(said)} == said


def test_opensmtpd_tells_an_alias_by_its_own_received_field() -> None:
    said = {"target@example.org": "550 5.1.1 User unknown"}
    (report,) = opensmtpd(said, one="team@alias.example.org")
    assert (report.recipient, report.mailed) == ("target@example.org", "team@alias.example.org")
    assert [r.mailed for r in opensmtpd(said, one="Target@example.org")] == ["target@example.org"]
    # To several, it does not tell; and who an earlier server had it for is not who it failed for.
    assert [r.mailed for r in opensmtpd(said)] == ["target@example.org"]


def test_many_recipients() -> None:
    notice = read(real("postfix-many"))
    assert len(notice.reports) == len({r.recipient for r in notice.reports}) > 20


def test_more_recipients_than_we_keep_are_told() -> None:
    groups = [failed(f"lead{number}@example.com") for number in range(600)]
    notice = read(dsn(*groups).encode())
    assert len(notice.reports) == 500
    assert "recipients" in notice.damage
    assert "recipients" not in read(dsn(*groups[:500]).encode()).damage

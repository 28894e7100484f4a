"""What is no failure: replies of machines and people, complaints, receipts, requests."""

from datetime import UTC, datetime

import pytest

from bouncesink.model import Arrival, Kind
from bouncesink.parse import parse


def read(headers, body, envelope_from="someone@lead.test"):
    fields = {
        "From": "Someone <someone@lead.test>",
        "To": "hello@example.com",
        "Subject": "Re: A quick question",
        "Message-ID": "<reply@lead.test>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit",
        **headers,
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    return parse(
        Arrival(
            "id",
            "lmtp",
            envelope_from,
            "bounces@example.com",
            datetime(2026, 6, 1, tzinfo=UTC),
            f"{head}\n{body}\n".encode(),
        )
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "auto-replied (vacation)"},
        {"Auto-Submitted": "auto-replied; owner-email=someone@lead.test"},
        {"Auto-Submitted": "auto-generated", "In-Reply-To": "<q@example.com>"},
        {"X-Autoreply": "yes"},
        {"X-Autorespond": "A quick question"},
        {"Precedence": "auto_reply"},
        {"X-Apple-Action": "VACATION"},
        {"Subject": "Automatic reply: A quick question"},
        {"Subject": "Out of office: A quick question"},
        {"Subject": "Out of Office AutoReply: A quick question"},
        {"Subject": "Auto: A quick question"},
        {"Subject": "Automatische Antwort: Eine Frage"},
        {"Subject": "Abwesenheitsnotiz: Eine Frage"},
        {"Subject": "Réponse automatique : Une question"},
        {"Subject": "Absence du bureau : Une question"},
        {"Subject": "Respuesta automática: Una pregunta"},
        {"Subject": "Risposta automatica: Una domanda"},
        {"Subject": "Resposta automática: Uma pergunta"},
        {"Subject": "Automatisch antwoord: Een vraag"},
        {"Subject": "Autosvar: En fråga"},
        {"Subject": "Automaattinen vastaus: Kysymys"},
        {"Subject": "Автоматический ответ: Вопрос"},
        {"Subject": "自動応答: 質問"},
        {"Subject": "自动答复: 问题"},
    ],
    ids=lambda headers: (
        next(f"{k}: {v}" for k, v in headers.items()).encode().decode("ascii", "replace")
    ),
)
def test_automatic_replies(headers):
    notice = read(headers, "I am away.")
    assert notice.kind is Kind.AUTO_REPLY
    assert not notice.reports


@pytest.mark.parametrize(
    "text",
    [
        "Thank you. I am no longer with the company, please write to new@other.test instead.",
        "My e-mail address has changed. The new address is new@other.test.",
        "Ich bin nicht mehr im Unternehmen. Bitte wenden Sie sich an new@other.test.",
        "zukünftig\nnew@other.test",
        "Je ne travaille plus ici. Merci de contacter new@other.test.",
        "Ya no trabajo en esta empresa. Escriba a new@other.test, por favor.",
        "Non lavora più qui: new@other.test",
        "退職いたしました。今後は new@other.test へご連絡ください。",
    ],
)
def test_the_address_to_write_to_instead(text):
    notice = read({"Auto-Submitted": "auto-replied"}, f"{text}\n\n> hello@example.com wrote:\n> hi")
    assert notice.alternative == "new@other.test"


@pytest.mark.parametrize(
    "text",
    [
        "I am away until Monday. In urgent cases write to colleague@lead.test.",
        "I no longer read someone@lead.test; mail to hello@example.com comes back.",
        "I have left the company. Goodbye!",
    ],
)
def test_no_address_is_made_up(text):
    assert read({"Auto-Submitted": "auto-replied"}, text).alternative is None


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            {"From": "SpamArrest <verify@spamarrest.com>", "Subject": "Re: hi (verification)"},
            "Please click the link below to verify your email.",
        ),
        (
            {"X-Delivery-Agent": "TMDA/1.1.12", "Auto-Submitted": "auto-replied"},
            "Your message is being held. Please reply to confirm that you are a person.",
        ),
        (
            {"From": "someone@lead.test", "Auto-Submitted": "auto-replied"},
            "Just click here to prove you are human, one-time verification.",
        ),
    ],
)
def test_challenges(headers, text):
    assert read(headers, text).kind is Kind.CHALLENGE


RECEIPT = """--b
Content-Type: text/plain

Your message was displayed.

--b
Content-Type: message/disposition-notification

Final-Recipient: rfc822;someone@lead.test
Disposition: manual-action/MDN-sent-manually; displayed

--b--
"""


def test_read_receipts():
    kind = 'multipart/report; report-type=disposition-notification; boundary="b"'
    assert read({"Content-Type": kind}, RECEIPT).kind is Kind.DISPOSITION
    outlook = {"Subject": "Read: A quick question", "Auto-Submitted": "auto-replied"}
    assert read(outlook, "Your message was read.").kind is Kind.DISPOSITION


def complaint(fields, returned="To: lead@provider.test"):
    kind = 'multipart/report; report-type=feedback-report; boundary="b"'
    body = (
        "--b\nContent-Type: text/plain\n\nA complaint.\n\n"
        f"--b\nContent-Type: message/feedback-report\n\n{fields}\n\n"
        f"--b\nContent-Type: message/rfc822\n\nFrom: hello@example.com\n{returned}\n"
        "Message-ID: <sent@example.com>\n\nhi\n\n--b--\n"
    )
    return read({"From": "fbl@provider.test", "Content-Type": kind}, body)


@pytest.mark.parametrize(
    ("fields", "returned", "recipients"),
    [
        (
            "Feedback-Type: abuse\nOriginal-Rcpt-To: <lead@provider.test>",
            "To: x@y.test",
            ["lead@provider.test"],
        ),
        (
            "Feedback-Type: abuse\nOriginal-Rcpt-To: a@y.test\nOriginal-Rcpt-To: b@y.test",
            "To: x@y.test",
            ["a@y.test", "b@y.test"],
        ),
        ("Feedback-Type: abuse", "To: lead@provider.test", ["lead@provider.test"]),
        ("Feedback-Type: abuse", "To: a@y.test, b@y.test", []),
        (
            "Feedback-Type: abuse\nOriginal-Rcpt-To: redacted@y.test",
            "To: undisclosed-recipients:;",
            [],
        ),
        (
            "Feedback-Type: abuse",
            "X-HmXmrOriginalRecipient: lead@provider.test\nTo: list@y.test",
            ["lead@provider.test"],
        ),
    ],
)
def test_complaints(fields, returned, recipients):
    notice = complaint(fields, returned)
    assert notice.kind is Kind.FEEDBACK
    assert [report.recipient for report in notice.reports] == recipients
    assert notice.feedback_type == "abuse"
    assert notice.original.message_id == "sent@example.com"


def test_other_kinds_of_feedback():
    assert complaint("Feedback-Type: Not-Spam").feedback_type == "not-spam"


QMAIL = """Hi. This is the qmail-send program at relay.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<x@failed.test>:
550 5.1.1 User unknown

--- Below this line is a copy of the message.
"""
EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  x@failed.test
    Unrouteable address
"""
FIELDS = """Reporting-MTA: dns; relay.test

Final-Recipient: rfc822; x@failed.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown
"""
SENDMAIL = """   ----- The following addresses had permanent fatal errors -----
<x@failed.test>
    (reason: 550 5.1.1 User unknown)

   ----- Transcript of session follows -----
<<< 550 5.1.1 User unknown
"""
SENTENCE = "Your message to x@failed.test could not be delivered: 550 5.1.1 user unknown.\n"


@pytest.mark.parametrize("bounce", [QMAIL, EXIM, FIELDS, SENDMAIL, SENTENCE], ids=str.split)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Subject": "Re: Undelivered Mail Returned to Sender", "In-Reply-To": "<n@relay.test>"},
        {"Subject": "Fwd: failure notice"},
        {"Subject": "AW: Unzustellbar: Eine Frage"},
        {"Subject": "what does this mean?", "From": "Lead <lead@lead.test>"},
    ],
)
@pytest.mark.parametrize("quoted", ["plain", "quoted", "attached text"])
def test_a_person_who_quotes_a_bounce(bounce, headers, quoted):
    if quoted == "quoted":
        bounce = "".join(f"> {line}\n" for line in bounce.split("\n"))
    if quoted == "attached text":
        kind = 'multipart/mixed; boundary="b"'
        body = f"--b\nContent-Type: text/plain\n\nWhat is this?\n\n--b\nContent-Type: text/plain\n\n{bounce}\n--b--\n"
        notice = read({"Content-Type": kind, **headers}, body)
    else:
        notice = read(headers, f"Hello,\n\nI got this, what does it mean?\n\n{bounce}\nRegards")
    assert notice.kind is Kind.HUMAN
    assert not notice.reports


NULL = {"Return-Path": "<>", "Auto-Submitted": "auto-replied"}
POSTMASTER = {"From": "Postmaster <postmaster@relay.test>"}


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            {"Subject": "Your invoice", "From": "Billing <no-reply@shop.test>"},
            "Invoice 550 for you@shop.test.",
        ),
        (
            {"Subject": "Delivery status of your parcel", "From": "Parcels <news@parcel.test>"},
            "Your parcel could not be delivered. Write to help@parcel.test.",
        ),
        (
            {"Subject": "Undeliverable parcel"},
            "The parcel for x@failed.test could not be delivered.",
        ),
        (
            {"Subject": "Newsletter", "Precedence": "bulk"},
            "How to mend bounces such as 550 5.1.1 <a@b.test>: User unknown.",
        ),
        (
            {"Subject": "cron <root@host> backup", "Auto-Submitted": "auto-generated"},
            "error: could not mail to admin@host.test: 550",
        ),
        (
            POSTMASTER | {"Subject": "Your mailbox is almost full"},
            "The mailbox hello@example.com is 95% full. Contact admin@relay.test.",
        ),
        (
            POSTMASTER | {"Subject": "Quota warning"},
            "User x@failed.test has 95% of quota used. Mailbox full soon.",
        ),
        (
            POSTMASTER | {"Subject": "Spam quarantine summary"},
            "Messages blocked:\n\n  x@failed.test  A subject\n",
        ),
        (
            POSTMASTER | {"Subject": "Maintenance on Sunday"},
            "Mail to x@failed.test cannot be delivered on Sunday. Questions: y@relay.test",
        ),
        (
            {"From": "list-bounces@lists.test", "Subject": "Your message awaits approval"},
            "Your mail to 'list@lists.test' is being held until the moderator can review it.",
        ),
        (
            NULL | {"Subject": "Out of office"},
            "Mail to me is not read. Contact x@failed.test. 550 hours.",
        ),
        (
            NULL | {"Subject": "Re: A quick question"},
            "Your message could not be delivered to me because I left: x@failed.test.",
        ),
        (
            NULL | {"Subject": "Re: A quick question"},
            "The address someone@lead.test is no longer in use. Mail to:\n\nx@failed.test\n",
        ),
        (
            NULL | {"Subject": "Abwesenheit"},
            "Die Nachricht konnte nicht zugestellt werden an:\n\nx@failed.test\n",
        ),
    ],
)
def test_other_mail_of_machines(headers, text):
    envelope_from = "" if "Return-Path" in headers else "someone@lead.test"
    notice = read(headers, text, envelope_from)
    assert notice.kind not in {Kind.FAILURE, Kind.DELAYED}
    assert not notice.reports


@pytest.mark.parametrize(
    "text",
    [
        "Your message was successfully delivered to:\n\nlead@lead.test\n",
        (
            "This report relates to a message you sent with the following header fields:\n\n"
            "Your message has been successfully delivered to the following recipients:\n\n"
            "  Recipient address: lead@lead.test\n"
        ),
    ],
)
def test_success_is_no_failure(text):
    notice = read(POSTMASTER | {"Subject": "Delivery report"}, text)
    assert notice.kind is Kind.DELIVERED

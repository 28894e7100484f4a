"""Texts of many mail systems, in a table: each names one recipient, and nothing else.

What they quote, sign with or offer help at is innocent.
"""

from datetime import UTC, datetime

import pytest

from bouncesink.model import Arrival, DsnAction, Kind
from bouncesink.parse import parse

HEAD = (
    "Return-Path: <>\nFrom: Mail Delivery <postmaster@relay.test>\nTo: hello@example.com\n"
    "Subject: {subject}\nMessage-ID: <notice@relay.test>\n"
    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: 8bit\n\n"
)
RETURNED = (
    "\nReturn-Path: <hello@example.com>\nFrom: hello@example.com\nTo: list@innocent.test\n"
    "Subject: hi\nMessage-ID: <sent@example.com>\n\n"
    "<also@innocent.test>: 550 5.1.1 unknown\n  third@innocent.test\n"
)
X = "x@failed.test"

TEXTS = {
    "list, angle brackets": f"Here is your list of failed recipients:\n\n<{X}>\n\nHere is your returned mail:\n{RETURNED}",
    "titles without rule": f"   The following addresses had delivery errors\n<{X}>\n\n   ----- Transcript of session follows -----\n<<< 550 no\n",
    "session in exim's words": f"This message was created automatically by mail delivery software.\n\nRCPT TO:<{X}>\n550 unknown user\n\nOriginal message follows\n{RETURNED}",
    "smail": f"|------ Message log follows: ------|\n no valid recipients\n|------ Failed addresses follow: ------|\n {X} ... unknown host\n|------ Message text follows: ------|\n{RETURNED}",
    "qmail, reworded": f"This is the machine generated message from mail service.\n\n<{X}>:\n550 no such user\n\n--- Below the next line is a copy of the message.\n{RETURNED}",
    "qmail, no brackets": f"Hi. This is the deliver program at relay.test.\n\n{X}:\nno such user\n\n--- copy of the message\n{RETURNED}",
    "qmail, Spanish first": f"Su mensaje no pudo ser entregado.\nYour message could not be delivered.\n\n<{X}>:\n550 no\n\n--- Original message follows\n{RETURNED}",
    "mdaemon, old": f"The following addresses did NOT receive a copy of your message:\n\n> {X}\n\n--- Session Transcript ---\n <-- 550 no\n",
    "intended recipient": f"Intended recipient:  {X}\n\nThe mailbox is full\n--------RETURNED MAIL FOLLOWS--------\n{RETURNED}",
    "undeliverable address": f"Sorry, but your message could not be delivered\nUndeliverable Address: {X}\nReason: over quota\n\nOriginal message attached.\n{RETURNED}",
    "addressed to": f"A message that you sent, addressed to '{X}', could not be delivered.\n\n---- START OF RETURNED MESSAGE ----\n{RETURNED}",
    "mailbox is full": f"Unable to deliver mail.\nUser's mailbox is full: <{X}>\n",
    "old message": f"The email below could not be delivered to the following user:\n\n<{X}>\n\nOld message:\n{RETURNED}",
    "reason follows": f"Sorry, unable to deliver your message to {X} for the following reason:\n\n552 Quota violation for {X}\n\nA copy of the original message below this line:\n{RETURNED}",
    "final delivery": f"Invalid final delivery userid: {X}\n\nOriginal message follows.\n{RETURNED}",
    "failed recipients": f"------ Failed Recipients ------\n  <{X}>: 550 unknown user\n\n-------- Returned Mail --------\n{RETURNED}",
    "lsmtp": f"--> Error description:\n\nError-for:  {X}\nError-code: 5\nError-text: No mailbox\n\nError-End: 1 error reported.\n",
    "did not reach": f"Your message\nDid not reach the following recipient(s):\n\n {X} on Mon\n",
    "no such user here": f"{X} - no such user here.\n\nThere is no user by that name at this server.\n",
    "hmailserver": f"The following recipient(s) could not be reached:\n\n{X}\n   Error Type: SMTP\n   Remote server replied: 550 no\n",
    "did not receive": f"the following recipients did not receive this message:\n\n\t<{X}>\n\nPlease reply to postmaster@relay.test if you feel this message to be in error.\n",
    "netscape": f"This Message was undeliverable due to the following reason:\n\nThe following destination addresses were unknown:\n\nSMTP <{X}>\n\nPlease reply to <postmaster@relay.test>\n",
    "transcript of addresses": f"------Transcript of session follows -------\n{X}\nThe user's email name is not found.\n",
    "not accepting": f"Your mail to the following recipients could not be delivered because they are not accepting mail from hello@example.com:\n\n\t{X}\n",
    "giving up": f"A message you sent could not be delivered to some or all of its recipients.\nGiving up on the following addresses:\n\n{X}: 550 no\n",
    "surfcontrol": f"Your message could not be sent.\nAddressed To: {X}\n\nFailed to send to identified host,\n{X}: [192.0.2.5], 550 no\n--- Message non-deliverable.\n",
    "blocked": f"Your message to: {X}\nwas blocked by our Spam Firewall. It has NOT BEEN DELIVERED.\n",
    "french": f"Votre message n'a pas pu être remis au destinataire suivant :\n\n{X}\n\nUtilisateur inconnu\n",
    "german": f"Ihre Nachricht konnte nicht zugestellt werden an:\n\n   {X}\n\nBenutzer unbekannt\n",
    "german sentence": f"Die E-Mail an {X} konnte nicht zugestellt werden.\n",
    "spanish": f"Su mensaje a {X} no pudo ser entregado: usuario desconocido\n",
    "japanese": f"次の宛先へメールを配信できませんでした。\n\n{X}\n\nユーザが見つかりません\n",
    "chinese": f"您的邮件未能送达以下收件人:\n\n{X}\n\n550 user not found\n",
    "x.400": f"did not reach the following recipient(s):\n\nc=US;a= ;p=Org;o=Site;dda:SMTP={X.replace('@', '(a)')}; on Mon, 1 Jun 2026\n    Unknown\n",
    "exchange, a name": f"did not reach the following recipient(s):\n\n'Stores' on Mon, 1 Jun 2026 10:00\n    550 <{X}>... User unknown\n",
    "microsoft table": f"Your message couldn't be delivered.\n\nSender Address:\thello@example.com\nRecipient Address:\t{X}\nSubject:\thi\n\nError Details\nReported error:\t550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found\nDSN generated by:\tX.prod.test\n",
    "nothing but a reply": f"Bad luck.\n\nRCPT {X} gave 550 5.1.1 unknown\n\nQuestions? Ask help@relay.test\n",
}


def read(text, subject="Undelivered mail"):
    raw = (HEAD.format(subject=subject) + text).encode()
    return parse(
        Arrival("id", "lmtp", "", "bounces@example.com", datetime(2026, 6, 1, tzinfo=UTC), raw)
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_one_recipient(text):
    notice = read(text)
    assert [report.recipient for report in notice.reports] == [X]
    assert notice.kind is Kind.FAILURE
    assert not notice.damage


DELAYS = {
    "sendmail": f"    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n    **********************************************\n\n   ----- The following addresses had transient non-fatal errors -----\n<{X}>\n\n   ----- Transcript of session follows -----\n<{X}>... Deferred: Connection timed out\nWarning: message still undelivered after 4 hours\nWill keep trying until message is 5 days old\n",
    "exim": f"This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\nrecipients after more than 24 hours on the queue on relay.test.\n\nThe address to which the message has not yet been delivered is:\n\n  {X}\n    Delay reason: connection timed out\n\nNo action is required on your part.\n",
    "gmail": f"Delivery to the following recipient has been delayed:\n\n     {X}\n\nMessage will be retried for 2 more day(s)\n\nTechnical details of temporary failure:\nThe recipient server did not accept our requests to connect.\n",
    "opensmtpd": f"    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n    A message is delayed for more than 4 hours for the following\n    list of recipients:\n\n{X}: 452 4.2.2 full\n\n    Please note that this is only a temporary failure report.\n\n    Below is a copy of the original message:\n{RETURNED}",
    "oracle": f"This report relates to a message you sent with the following header fields:\n\nYour message has been enqueued and undeliverable for 1 day to the following\nrecipients:\n\n  Recipient address: {X}\n  Reason: unable to deliver this message after 1 day\n\nThe mail system will continue to try to deliver your message.\n",
    "postfix": f"This is the mail system at host relay.test.\n\n####################################################################\n# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n####################################################################\n\nYour message could not be delivered for more than 4 hour(s).\nIt will be retried until it is 5 day(s) old.\n\n<{X}>: connect to mx.failed.test[192.0.2.1]:25: Connection timed out\n",
}


@pytest.mark.parametrize("text", DELAYS.values(), ids=DELAYS)
def test_a_warning_is_no_failure(text):
    notice = read(text)
    assert [(r.recipient, r.action) for r in notice.reports] == [(X, DsnAction.DELAYED)]
    assert notice.kind is Kind.DELAYED


def test_what_a_bounce_returns_is_innocent():
    """A bounce that returns a bounce names the recipient of the outer one only."""
    inner = "Hi. This is the qmail-send program at innocent.test.\n\n<also@innocent.test>:\nno\n\n--- Below this line is a copy of the message.\n"
    text = f"This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  {X}\n    Unrouteable address\n\n------ This is a copy of the message, including all the headers. ------\n{RETURNED}\n{inner}"
    assert [report.recipient for report in read(text).reports] == [X]


def test_silence_where_it_would_be_a_guess():
    notice = read("Something failed.\n\none@failed.test or two@failed.test may know more.\n")
    assert notice.kind is Kind.UNREADABLE
    assert not notice.reports


def test_many_recipients_are_bounded():
    text = "Hi. This is the qmail-send program at relay.test.\n\n"
    text += "".join(f"<x{n}@failed.test>:\n550 no\n\n" for n in range(5000))
    assert 100 <= len(read(text).reports) <= 1000


OPENINGS = (*TEXTS.values(), *DELAYS.values())
FILLERS = ("a b " * 8_000, "x\n" * 8_000, "a@b.test " * 3_000, "<<<" * 8_000, "\n" * 15_000)


@pytest.mark.parametrize("filler", FILLERS, ids=("words", "lines", "addresses", "marks", "blank"))
def test_nothing_stalls(filler):
    """A pattern that backtracks would not come back from these at all."""
    for opening in OPENINGS:
        assert read(opening.replace(X, f"{X}\n{filler}")).kind is not None

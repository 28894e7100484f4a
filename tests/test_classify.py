"""What a report means: the table of real-world replies, and the order of evidence."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.classify import classify, classify_text, load_rules
from bouncesink.model import (
    CATEGORIES,
    Category,
    DsnAction,
    Kind,
    Notice,
    Original,
    Report,
    Severity,
    Verdict,
)

REPLIES = tomllib.loads((Path(__file__).parent / "data/replies.toml").read_text("utf-8"))
CASES = [
    (category, {"text": entry} if isinstance(entry, str) else entry)
    for category, entries in REPLIES.items()
    for entry in entries
]
RULES = load_rules()

FAILED = Report(recipient="someone@example.com", action=DsnAction.FAILED, recognizer="rfc3464")
FAILURE = Notice(kind=Kind.FAILURE, recognizer="rfc3464", identity="x")


def judge(diagnostic: str | None = None, *, notice: Notice = FAILURE, **facts: object) -> Verdict:
    report = replace(FAILED, diagnostic=diagnostic, **facts)
    return classify(report, replace(notice, reports=(report,)), RULES)


def judge_case(case: dict[str, object]) -> Verdict:
    sender = case.get("sender")
    return judge(
        case.get("text"),
        status=case.get("status"),
        reply_code=case.get("reply"),
        remote_mta=case.get("remote_mta"),
        notice=replace(FAILURE, original=Original(from_=sender)),
    )


@pytest.mark.parametrize(("category", "case"), CASES)
def test_reply_means(category, case):
    assert judge_case(case).category == category


def test_the_table_is_large_and_has_every_category_of_failures():
    assert len({str(case) for _, case in CASES}) >= 250
    failures = {c for c, (severity, _) in CATEGORIES.items() if severity is not Severity.NONE}
    assert set(REPLIES) == failures


@pytest.mark.parametrize("case", [case for _, case in CASES if case.get("text")])
def test_a_temporary_reply_never_condemns(case):
    words = case["text"].lstrip("0123456789.- #")
    for code in ("450 4.1.1", "421", "451 4.7.1", "452 4.2.1"):
        assert judge(f"{code} {words}").severity is not Severity.HARD


@pytest.mark.parametrize(
    "diagnostic",
    [
        "550 5.7.1 <owner@example.org>: Sender address rejected: undeliverable address: host mx.example.org said: 550 5.1.1 User unknown",
        "550-Verification failed for <owner@example.org>\n550-No Such User Here\n550 Sender verify failed",
        "550 5.7.1 Your email has been blocked due to an attachment",
        "550 Your e-mail was deleted because it contained a virus",
        "550 Sorry, could not find a MX record for your domain",
        "550 Your domain is not registered",
        "501 5.5.4 Invalid domain name in HELO",
        "501 5.5.4 Invalid Address in MAIL FROM",
        "550 HELO name does not resolve: host unknown",
        "550 From address is not a valid address",
        "550 Missing email address in From",
        "503 5.5.1 No recipients specified",
        "554 no valid recipients",
        "554 5.7.1 Client host rejected: unknown hostname",
        "554 Host invalid: mx.example.org",
        "550 5.1.8 sender account disabled",
        "554 your account has been suspended",
        "550 IP address not found in SPF record of domain",
        "550 5.7.1 <someone@example.com>: Recipient address rejected: User not allowed to receive from external senders",
        "550 5.7.1 This user is not allowed to receive from outside",
        "550 unauthorized user",
        "550 user refused",
        "550 5.2.0 Mailbox problem",
        "550 This version is no longer supported",
        "535 5.7.8 Error: authentication failed: invalid credentials",
        "550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 rejected",
        "550 5.4.4 ROUTING.NoConnectorForAddressType; unable to route for address type",
        "host mx.example.com[192.0.2.1] said: 550 example.org does not exist (in reply to MAIL FROM command)",
        "451 Could not verify recipient user at this time",
        "procmail: No such file or directory",
        "Your mail message to the following address(es) could not be delivered. Please verify the addresses and try again.",
    ],
)
def test_these_words_condemn_no_address(diagnostic):
    assert judge(diagnostic).severity is not Severity.HARD


@pytest.mark.parametrize(
    "text",
    [
        "This is the mail system at host mx.example.org.\n\nI'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients. It's attached below.\n\nFor further assistance, please send mail to postmaster.",
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:",
        "Hi. This is the qmail-send program at mx.example.org.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.",
        "   ----- The following addresses had permanent fatal errors -----",
        "Delivery has failed to these recipients or groups:",
        "Your message did not reach some or all of the intended recipients.",
        "** Message not delivered **\n\nThere was a problem delivering your message to someone.",
    ],
)
def test_what_every_notification_says_is_no_reason(text):
    verdict = judge(None, status="5.0.0", notice=replace(FAILURE, text=text))
    assert verdict.category is Category.UNKNOWN


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        (Kind.FEEDBACK, Category.COMPLAINT),
        (Kind.AUTO_REPLY, Category.AUTO_REPLY),
        (Kind.CHALLENGE, Category.CHALLENGE),
        (Kind.DISPOSITION, Category.DISPOSITION),
        (Kind.FORWARDING_CONFIRMATION, Category.FORWARDING_CONFIRMATION),
        (Kind.UNSUBSCRIBE, Category.UNSUBSCRIBE),
        (Kind.HUMAN, Category.UNKNOWN),
        (Kind.UNREADABLE, Category.UNKNOWN),
    ],
)
def test_what_is_no_report_has_no_other_evidence(kind, category):
    hard = replace(FAILED, status="5.1.1", diagnostic="550 5.1.1 user unknown")
    notice = replace(FAILURE, kind=kind, text="550 5.1.1 user unknown")
    assert classify(None, notice, RULES).category == category
    assert classify(hard, notice, RULES).category == category


@pytest.mark.parametrize(
    ("feedback_type", "category"),
    [
        ("abuse", Category.COMPLAINT),
        ("fraud", Category.COMPLAINT),
        (None, Category.COMPLAINT),
        ("something-new", Category.COMPLAINT),
        ("Opt-Out", Category.UNSUBSCRIBE),
        ("not-spam", Category.DISPOSITION),
        ("auth-failure", Category.AUTHENTICATION),
    ],
)
def test_a_feedback_report_is_what_its_type_says(feedback_type, category):
    notice = replace(FAILURE, kind=Kind.FEEDBACK, feedback_type=feedback_type)
    assert classify(None, notice, RULES).category == category


@pytest.mark.parametrize("action", [a for a in DsnAction if a is not DsnAction.FAILED])
def test_the_action_field_comes_before_any_words(action):
    verdict = judge("550 5.1.1 user unknown", status="5.1.1", action=action)
    assert verdict.category == action.value
    assert verdict.severity is Severity.NONE


def test_a_notice_without_a_recipient_goes_to_review():
    assert classify(None, FAILURE, RULES).category is Category.UNKNOWN


def test_a_bounce_of_a_bounce_counts_as_nothing():
    notice = replace(FAILURE, original=Original(null_sender=True))
    assert judge("550 5.1.1 user unknown", notice=notice).category is Category.BOUNCE_OF_BOUNCE


@pytest.mark.parametrize(
    ("diagnostic", "facts", "category"),
    [
        # a provider's words before the common ones
        ("550 5.1.1 IB607 user unknown", {}, Category.RATE_LIMITED),
        # the sender's fault before the address's
        ("550 5.1.1 Sender rejected: user unknown", {}, Category.SENDER_REJECTED),
        # words before codes
        ("550 5.7.1 No such user", {}, Category.USER_UNKNOWN),
        ("550 5.1.1 mailbox is full", {}, Category.MAILBOX_FULL),
        # the address's fault before trouble on the way
        ("550 user unknown, try again later", {}, Category.USER_UNKNOWN),
        # the code in the diagnostic before the Status field
        ("550 5.7.1 tja", {"status": "5.1.1"}, Category.POLICY),
        # the Status field before the reply code, unless it says nothing
        ("550 tja", {"status": "5.1.1"}, Category.USER_UNKNOWN),
        ("552 tja", {"status": "5.0.0"}, Category.MAILBOX_FULL),
        ("552 5.0.0 tja", {"status": "5.5.0"}, Category.MAILBOX_FULL),
        # Exim's expiry: a temporary reply under a permanent Status
        (
            "452 4.2.2 <someone@example.com>: retry timeout exceeded",
            {"status": "5.0.0"},
            Category.MAILBOX_FULL,
        ),
        ("450 4.1.1 user unknown", {"status": "5.0.0"}, Category.MAILBOX_INACTIVE_TEMPORARILY),
        # Postfix's soft_bounce: the remote reply is the truth
        ("550 5.1.1 user unknown", {"status": "4.1.1"}, Category.USER_UNKNOWN),
    ],
)
def test_the_order_of_evidence(diagnostic, facts, category):
    assert judge(diagnostic, **facts).category is category


@pytest.mark.parametrize(
    "diagnostic",
    [
        "550-5.1.1 The email account that\n550-5.1.1 you tried to reach does\n550 5.1.1 not exist. 12",
        "550-The email account that\r\n550-you tried to reach does not\r\n550 exist. Sorry",
        "smtp; 550-5.1.1 The email account that you tried to reach 550-5.1.1 does not exist",
        "550 5.1.1 The email account that you tried\\r\\nto reach does not exist",
        "550 5.1.1 The email&nbsp;account that you tried to reach does&#32;not exist",
        "550 5.1.1 THE EMAIL ACCOUNT\tTHAT YOU TRIED TO REACH DOES NOT EXIST",
        "host mx.example.com[192.0.2.1] said: 550 The email account that you tried to reach does not exist",
    ],
)
def test_a_sentence_is_one_however_it_came(diagnostic):
    assert judge(diagnostic).rule == "google-no-such-user"


@pytest.mark.parametrize(
    "recipient", ["spam@example.com", "virus.quota@example.com", "mailbox-full@example.com"]
)
def test_an_address_is_no_reason(recipient):
    verdict = judge(f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown")
    assert verdict.category is Category.USER_UNKNOWN
    assert judge(f"550 <{recipient}>").category is Category.UNKNOWN


def test_octal_escapes_of_exim_are_read():
    said = "550 El buz\\303\\263n est\\303\\241 lleno"
    assert judge(said).category is Category.MAILBOX_FULL


def test_curly_quotes_are_quotes():
    assert judge("554 This user doesn’t have a example.com account").severity is Severity.HARD


def test_words_about_our_own_address_are_not_about_the_recipient():
    notice = replace(FAILURE, original=Original(from_="owner@example.org"))
    said = "550 5.1.1 <Owner@example.org>: user unknown"
    assert judge(said, notice=notice).category is Category.SENDER_REJECTED
    assert judge(said).category is Category.USER_UNKNOWN


def test_mail_to_oneself_is_about_the_recipient():
    notice = replace(FAILURE, original=Original(from_=FAILED.recipient))
    said = f"550 5.1.1 <{FAILED.recipient}>: user unknown"
    assert judge(said, notice=notice).category is Category.USER_UNKNOWN


def test_the_text_stands_in_for_a_missing_diagnostic():
    notice = replace(FAILURE, text="I could not deliver to <someone@example.com>: user unknown")
    assert judge(None, notice=notice).category is Category.USER_UNKNOWN
    assert judge("550 tja", notice=notice).category is Category.USER_UNKNOWN


def test_a_text_that_names_others_lends_nobody_a_reason():
    text = "<other@example.com>: user unknown\n<someone@example.com>: something"
    assert judge(None, notice=replace(FAILURE, text=text)).category is Category.UNKNOWN


def test_a_text_with_several_reports_lends_nobody_a_reason():
    other = replace(FAILED, recipient="other@example.com")
    notice = replace(FAILURE, text="user unknown", reports=(FAILED, other))
    assert classify(FAILED, notice, RULES).category is Category.UNKNOWN


@pytest.mark.parametrize(
    "line",
    [
        "--- Below is a copy of the original message ---",
        "Received: from mx.example.org",
        "> Hello",
        "Message headers follow",
    ],
)
def test_the_returned_mail_is_no_evidence(line):
    text = f"Your message could not be sent.\n{line}\nWhy do I get 'user unknown'?"
    assert judge(None, notice=replace(FAILURE, text=text)).category is Category.UNKNOWN


def test_the_delivery_agent_is_believed_before_the_fields_around_it():
    text = "Your message to <someone> was automatically rejected:\nQuota exceeded"
    said = "550 5.1.1 <someone@example.com>... User Unknown"
    verdict = judge(said, status="5.1.1", notice=replace(FAILURE, text=text))
    assert verdict.category is Category.MAILBOX_FULL


def test_a_speaker_is_known_by_its_domain():
    said = "550 Unknown user someone@example.com"
    assert judge(said, remote_mta="dns; MX.docomo.ne.jp.").category is Category.UNKNOWN
    assert judge(said, remote_mta="mx.notdocomo.ne.jp").category is Category.USER_UNKNOWN


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        ({"reply_code": 550}, Severity.HARD),
        ({"status": "5.0.0"}, Severity.HARD),
        ({"status": "4.0.0"}, Severity.SOFT),
        ({"reply_code": 450}, Severity.SOFT),
        ({"reply_code": 550, "diagnostic": "550 tja"}, Severity.UNKNOWN),
    ],
)
def test_an_event_that_gives_only_its_class_is_taken_at_its_word(facts, severity):
    report = replace(FAILED, **{"recognizer": "events.json", **facts})
    assert classify(report, FAILURE, RULES).severity is severity


def test_a_report_that_gives_only_its_class_goes_to_review():
    assert judge(None, status="5.0.0").severity is Severity.UNKNOWN
    assert judge(None, reply_code=550).severity is Severity.UNKNOWN


def test_the_verdict_shows_the_words_that_it_is_about():
    verdict = judge("550 5.2.2 <someone@example.com>: user is over quota")
    assert "over quota" in verdict.evidence
    assert judge("550 5.7.1 tja").evidence == "5.7.1"
    assert judge("tja").evidence == "tja"


def test_a_pasted_reply_is_read_like_a_report():
    assert classify_text("550 5.1.1 user unknown", RULES).category is Category.USER_UNKNOWN
    assert classify_text("tja", RULES, status="5.1.1").category is Category.USER_UNKNOWN


REPORTS = st.builds(
    Report,
    recipient=st.text(max_size=40),
    action=st.sampled_from(DsnAction),
    recognizer=st.text(max_size=10),
    original_recipient=st.none() | st.text(max_size=40),
    status=st.none() | st.text(max_size=20) | st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}"),
    reply_code=st.none() | st.integers(),
    diagnostic=st.none()
    | st.text(st.characters(), max_size=300)
    | st.lists(st.sampled_from([str(c.get("text")) for _, c in CASES]), max_size=4).map(" ".join),
    remote_mta=st.none() | st.text(max_size=30),
    reporting_mta=st.none() | st.text(max_size=30),
)
NOTICES = st.builds(
    Notice,
    kind=st.sampled_from(Kind),
    recognizer=st.text(max_size=10),
    identity=st.just("x"),
    reports=st.lists(REPORTS, max_size=2).map(tuple),
    original=st.builds(Original, from_=st.none() | st.text(max_size=30)),
    text=st.text(st.characters(), max_size=300),
    feedback_type=st.none() | st.text(max_size=10),
)


@given(NOTICES, REPORTS | st.none())
def test_classify_never_raises_and_says_the_same_twice(notice, report):
    assert classify(report, notice, RULES) == classify(report, notice, RULES)
    for own in notice.reports:
        verdict = classify(own, notice, RULES)
        assert len(verdict.evidence) <= 200
        if own.action is not DsnAction.FAILED:
            assert verdict.severity is not Severity.HARD


@given(st.text(st.characters(), max_size=200).filter(lambda text: "5" not in text))
def test_a_temporary_status_never_condemns_whatever_the_words(text):
    assert judge(f"450 4.0.0 {text}", status="4.1.1").severity is not Severity.HARD


def test_importing_costs_no_automaton():
    code = "import sys, bouncesink.classify; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

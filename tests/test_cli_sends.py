"""`bouncesink sends`: what we sent, in; what is about it, proven; what is not, doubtful."""

import json
from pathlib import Path

import pytest
from commands import Run
from mails import hard

LEAD = "lead@example.org"
HEADER = "message_id,recipient,sent_at,campaign,mailbox\n"
CONFIG = '[trust]\nsends_complete = true\n[[mailboxes]]\naddress = "sales@example.com"\n'


def trust(run: Run) -> dict:
    (address,) = json.loads(run("report-bounces").out)
    return address["events"][0]["trust"] | {"campaign": address["events"][0]["campaign"]}


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "<original-1@example.com>,Lead@EXAMPLE.org,2026-03-01T10:00:00Z,spring,s@x.test\n",
        "\ufeffRecipient;Message-ID;Campaign\r\nlead@example.org;original-1@example.com;spring\r\n",
        '{"message_id": "<original-1@example.com>", "recipient": "lead@example.org", "campaign": "spring"}\n',
        '[{"message_id": "original-1@example.com", "recipient": "lead@example.org", "campaign": "spring", "sent_at": "Sun, 1 Mar 2026 10:00:00 +0100"}]',
    ],
)
def test_a_bounce_of_what_we_sent_is_proven(run: Run, text: str) -> None:
    Path("sends.csv").write_text(text)
    first = run("sends", "import", "sends.csv")
    assert (first.code, "1 send taken, 1 new, 0 refused" in first.out) == (0, True), first.err
    assert "0 new" in run("sends", "import", "-", stdin=text).out
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    assert trust(run) == {
        "level": "proven",
        "signals": ["returned Message-ID is of our message to this address"],
        "campaign": "spring",
    }
    assert run("check", LEAD).code == 1


def test_of_a_message_to_several_each_bounce_is_about_its_own(run: Run) -> None:
    rows = "original-1@example.com,other@example.org\noriginal-1@example.com,lead@example.org\n"
    Path("sends.csv").write_text("message_id,recipient\n" + rows)
    assert "2 new" in run("sends", "import", "sends.csv").out
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    assert trust(run)["level"] == "proven"


def test_a_message_to_another_address_contradicts(run: Run) -> None:
    Path("sends.csv").write_text("message_id,recipient\noriginal-1@example.com,other@example.org\n")
    run("sends", "import", "sends.csv")
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    assert trust(run)["level"] == "contradicted"
    assert run("check", LEAD).code == 0


def test_what_is_not_among_all_sends_is_doubtful_until_they_are_there(run: Run) -> None:
    Path("c.toml").write_text(CONFIG)
    config = ("--config", "c.toml")
    Path("a.eml").write_text(hard())
    run("replay", "a.eml", *config)
    assert trust(run)["signals"][0] == "returned Message-ID is not one we sent"
    assert run("check", LEAD).code == 0
    assert len(run("review", "list", "--json").lines) == 1
    Path("sends.csv").write_text("message_id,recipient\noriginal-1@example.com,lead@example.org\n")
    assert "rebuild" in run("sends", "import", "sends.csv", *config).out
    assert run("rebuild", "--apply", *config).code == 0
    assert run("check", LEAD).code == 1
    assert run("review", "list", "--json").lines == []


def test_what_is_not_right_is_refused_by_its_line_and_the_rest_goes_in(run: Run) -> None:
    long = "x" * 120_000
    lines = [
        "<1@example.com>,a@example.org,,,",
        "<2@example.com>,nobody,,,",
        ",b@example.org,,,",
        "",
        "two words,c@example.org,,,",
        "<3@example.com>,c@example.org,yesterday,,",
        f'"<4@example.com>","{long}",,,',
        "<5@example.com>,d@example.org",
        "<6@example.com>,e\udcff@example.org,,,",
    ]
    text = HEADER + "\n".join(lines) + "\n"
    Path("sends.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = run("sends", "import", "sends.csv")
    assert result.code == 1
    assert "2 sends taken, 2 new, 6 refused" in result.out
    for number, problem in (
        (3, "`recipient` is no address: 'nobody'"),
        (4, "`message_id` is missing"),
        (6, "`message_id` is none: 'two words'"),
        (7, "`sent_at` is no date: 'yesterday'"),
        (8, "a field of over 100,000 characters"),
        (10, "not UTF-8"),
    ):
        assert f"line {number}: {problem}" in result.err


def test_very_many_refusals_are_counted_not_listed(run: Run) -> None:
    Path("sends.csv").write_text(HEADER + "x,y\n" * 3000)
    result = run("sends", "import", "sends.csv", "--json")
    assert result.lines == [{"taken": 0, "new": 0, "refused": 3000}]
    assert len(result.err.splitlines()) == 21
    assert "and 2,980 more" in result.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns"),
        ("id,to\n1,2\n", "message_id, recipient among them"),
        ('[{"message_id"', "not valid JSON"),
        ("message_id,recipient\n" + "x" * 1_000_001, "line 2 is longer"),
        ('{"message_id": 1}\nnonsense\n[]\n', "3 refused"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_of_another_shape_is_refused_in_one_line(run: Run, text: str, message: str) -> None:
    Path("f").write_text(text)
    result = run("sends", "import", "f")
    assert result.code in (1, 2)
    assert message in result.err + result.out
    assert "Traceback" not in result.err
    assert run("sends", "import", "none.csv").code == 2

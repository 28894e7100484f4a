"""`bouncesink review`: two operators, a queue, and what may wait in it."""

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Barrier, Thread

import pytest
from commands import Run
from hypothesis import example, given
from hypothesis import strategies as st
from mails import hard

from bouncesink.classify import check_rules
from bouncesink.classify.suggest import suggest
from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.engine.review import Decision, confirm, find
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.ledger import open_ledger
from bouncesink.model import OPEN, Act, ActionKind, ActionState, Category

LEAD = "lead@example.org"
MINE = ("--actor", "one", "--reason", "they told us")
TEXT = "The wurble is frobnicated"
CONFIG = '[[mailboxes]]\naddress = "outreach@example.com"\n'
UNREADABLE = "Subject: Undelivered Mail\nFrom: MAILER-DAEMON@mx.example.net\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\nMessage-ID: <odd@mx.example.net>\n\n--b\nContent-Type: text/plain\n\nSorry.\n--b--\n"


def unknown(number: int = 1, text: str = TEXT, to: str = "") -> str:
    """Give a failure whose reply no rule knows."""
    mail = hard(number, number).replace("User unknown", text).replace("5.1.1", "5.0.0")
    return mail.replace("Lead@example.org", to) if to else mail


def replayed(run: Run, *mails: str, options: Iterable[str] = ()) -> list[dict]:
    """Replay mails; give what is in review then."""
    for number, mail in enumerate(mails):
        Path(f"{number}.eml").write_text(mail)
    run("replay", *(f"{number}.eml" for number in range(len(mails))), *options)
    return reviews(run)


def reviews(run: Run) -> list[dict]:
    return run("review", "list", "--json", "--limit", "1000").lines


def mailable(run: Run, address: str = LEAD) -> bool:
    return run("check", address).code == 0


def test_an_empty_queue_says_so(run: Run) -> None:
    replayed(run, hard())
    assert "0 items in review" in run("review", "list").out


def test_list_puts_our_standing_first_and_what_may_be_forged_last(run: Run) -> None:
    blocked = unknown(2, "listed at zen.spamhaus.org", "b@example.org").replace(
        "550 5.0.0", "554 5.7.1"
    )
    Path("c.toml").write_text(
        '[trust]\nrequire = "plausible"\n' + CONFIG.replace("outreach", "sales")
    )
    forged = hard(3, 3).replace("sales@example.com", "x@example.net")
    found = replayed(run, forged, unknown(1), blocked, options=("--config", "c.toml"))
    assert [(each["payload"]["why"], each["payload"]["priority"]) for each in found] == [
        ("blocked", "1"),
        ("unknown", "2"),
        ("doubtful", "3"),
    ]
    shown = run("review", "list", "--limit", "1")
    assert "blocklisted" in shown.out
    assert "3 items in review, 1 shown" in shown.out
    assert TEXT not in shown.out


def test_show_tells_all_and_nothing_reaches_the_terminal(run: Run) -> None:
    evil = unknown(1, TEXT + " \x1b]0;owned\x07\u202e").replace(
        "Subject: Hello", "Subject: \x1b[2J\x9b31m"
    )
    (item,) = replayed(run, evil)
    shown = run("review", "show", item["event_id"][:8])
    for words in (TEXT, "rule", "trust", "why      unknown", "From: MAILER-DAEMON@mx.example.net"):
        assert words in shown.out, words
    assert not set(shown.out) & set("\x1b\x07\x9b\u202e")
    as_json = run("review", "show", item["key"], "--json")
    assert as_json.lines[0]["events"][0]["id"] == item["event_id"]
    assert "final-recipient" in as_json.lines[0]["mail"].lower()


def test_confirm_makes_it_hard_and_closes_the_item(run: Run) -> None:
    Path("leads.csv").write_text(f"LEAD ID,EMAIL\n1,{LEAD}\n")
    (item,) = replayed(run, unknown(), options=("--leads", "leads.csv"))
    assert mailable(run)
    done = run("review", "confirm", item["event_id"][:10], *MINE)
    assert done.code == 0
    assert "must not be mailed" in done.out
    assert not mailable(run)
    assert reviews(run) == []
    story = run("explain", LEAD).out
    assert "one: they told us" in story
    queues = {a["kind"]: a["state"] for a in run("status", "--json").lines[0]["actions"]}
    assert queues["smartlead_removal"] == "pending"
    again = run("review", "dismiss", item["event_id"][:10], "--actor", "two", "--reason", "no")
    assert again.code == 1
    assert "already confirmed by one on 20" in again.err
    assert "they told us" in again.err
    assert not mailable(run)


def test_dismiss_makes_it_nothing_and_it_does_not_come_back(run: Run) -> None:
    (item,) = replayed(run, unknown())
    assert "1 notification" in run("review", "dismiss", item["key"], *MINE).out
    assert mailable(run)
    assert replayed(run, unknown()) == []
    again = run("review", "confirm", item["key"], *MINE)
    assert (again.code, "already dismissed by one" in again.err) == (1, True)
    assert mailable(run)


def test_of_two_operators_at_once_one_decides_and_the_other_is_told(run: Run) -> None:
    (item,) = replayed(run, unknown())
    start, outcomes = Barrier(4), []

    def decide(actor: str) -> None:
        engine = Engine(open_ledger(Path("bouncesink.db")), Config())
        action = find(engine.ledger, item["key"])
        start.wait(60)
        try:
            confirm(engine, action, Decision(actor, "seen"))
            outcomes.append("done")
        except AlreadyDecided as error:
            outcomes.append(str(error))
        engine.ledger.close()

    threads = [Thread(target=decide, args=(f"operator-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 4
    assert outcomes.count("done") == 1
    assert sum("already confirmed by operator-" in each for each in outcomes) == 3
    ledger = open_ledger(Path("bouncesink.db"))
    acts = [event for event in ledger.events_of([LEAD])[LEAD] if isinstance(event.kind, Act)]
    ledger.close()
    assert [act.target for act in acts] == [item["event_id"]]


def test_reinstate_and_what_it_cannot(run: Run) -> None:
    replayed(run, hard())
    assert not mailable(run)
    assert "may be mailed" in run("review", "reinstate", "LEAD@example.org", *MINE).out
    assert mailable(run)
    again = run("review", "reinstate", LEAD, *MINE)
    assert (again.code, "nothing to reinstate" in again.err) == (2, True)
    assert run("review", "reinstate", "nobody@example.org", *MINE).code == 2


def test_a_mail_that_names_nobody_can_be_dismissed(run: Run) -> None:
    (item,) = replayed(run, UNREADABLE)
    assert item["key"].startswith("review:arrival:")
    assert "Sorry." in run("review", "show", item["key"]).out
    assert "1 notification" in run("review", "dismiss", item["key"], *MINE).out
    assert reviews(run) == []
    assert run("status", "--json").lines[0]["arrivals"].get("review", 0) == 0
    assert "already dismissed by one" in run("review", "dismiss", item["key"], *MINE).err


def test_a_mail_that_names_nobody_can_be_confirmed_about_somebody(run: Run) -> None:
    (item,) = replayed(run, UNREADABLE)
    refused = run("review", "confirm", item["key"], *MINE)
    assert (refused.code, "--address" in refused.err) == (2, True)
    assert len(reviews(run)) == 1
    assert run("review", "confirm", item["key"], *MINE, "--address", "LEAD@example.org").code == 0
    assert not mailable(run)
    assert reviews(run) == []
    assert "Nothing changes" in run("rebuild").out
    assert not mailable(run)


def test_a_flood_about_one_address_is_one_item_and_one_dismissal(run: Run) -> None:
    (item,) = replayed(run, *(unknown(n) for n in range(1, 9)))
    shown = run("review", "show", item["key"])
    assert shown.out.count("wurble") >= 8
    assert "8 notifications" in run("review", "dismiss", item["key"], *MINE).out
    assert reviews(run) == []
    assert len(replayed(run, unknown(20))) == 1


def test_one_of_a_flood_can_be_confirmed_and_the_others_wait_on(run: Run) -> None:
    (item,) = replayed(run, *(unknown(n) for n in range(1, 8)))
    refused = run("review", "confirm", item["key"], *MINE)
    assert (refused.code, "--event" in refused.err) == (2, True)
    events = [e["id"] for e in run("review", "show", item["key"], "--json").lines[0]["events"]]
    for event in events[:2]:
        assert len(reviews(run)) == 1
        run("review", "confirm", item["key"], *MINE, "--event", event)
    assert not mailable(run)
    # Five are few enough to be listed by themselves, as they were before they were a flood.
    assert {each["event_id"] for each in reviews(run)} == set(events[2:])


def test_a_key_must_mean_one_item(run: Run) -> None:
    found = replayed(run, *(unknown(n, to=f"u{n}@example.org") for n in range(1, 20)))
    assert len(found) == 19
    several = run("review", "show", "")
    assert (several.code, "several" in several.err) == (2, True)
    none = run("review", "show", "zzz")
    assert (none.code, "review list" in none.err) == (2, True)
    for key in (found[0]["key"], found[0]["key"].removeprefix("review:")):
        assert run("review", "show", key).code == 0


@pytest.mark.parametrize("option", [("--reason", " "), ()])
def test_an_act_wants_a_reason(run: Run, option: tuple[str, ...]) -> None:
    (item,) = replayed(run, unknown())
    assert run("review", "dismiss", item["key"], *option).code == 2
    assert len(reviews(run)) == 1


def test_the_actor_is_who_is_behind_sudo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = replayed(run, unknown())
    monkeypatch.setenv("USER", "root")
    monkeypatch.setenv("SUDO_USER", "operator")
    run("review", "dismiss", item["key"], "--reason", "seen")
    assert "operator: dismissed: seen" in run("review", "show", item["key"]).out


def test_a_suggested_rule_passes_its_check_and_is_nobodys_until_used(run: Run) -> None:
    said = f"mx7.example.org {TEXT} for <Lead@example.org> id q1w2e3 (in reply to RCPT)"
    (item,) = replayed(run, unknown(1, said))
    unsure = run("review", "suggest-rule", item["key"])
    assert (unsure.code, "--category" in unsure.err) == (2, True)
    run("review", "confirm", item["key"], *MINE)
    rule = run("review", "suggest-rule", item["key"])
    assert rule.code == 0
    assert 'category = "user_unknown"' in rule.out
    assert "lead@example.org" not in rule.out.lower()
    assert "mx7" not in rule.out
    Path("rules.toml").write_text(rule.out)
    assert run("rules", "check", "rules.toml").code == 0
    Path("c.toml").write_text('[classify]\nrules = "rules.toml"\n')
    other = said.replace("mx7", "mx9").replace("q1w2e3", "zz99").replace("Lead@", "who@")
    assert "HARD" in run("rules", "test", f"550 5.0.0 {other}", "--config", "c.toml").out
    assert "UNKNOWN" in run("rules", "test", f"550 5.0.0 {other}").out


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    *r".*+?()[]{}|^$\/'\"<>@#-&~",
                    "mailbox",
                    "not",
                    "found",
                    "a@b.example",
                    "192.0.2.7",
                    "mx.example.net",
                    "Größe",
                    "\u3042\u3044",
                    "\x7f",
                    "smtp;",
                    "&amp;",
                ]
            )
        ).map(" ".join),
    )
)
@example("smtp; smtp; nobody of that name")
def test_whatever_the_reply_a_suggested_rule_passes_its_check(tmp_path_factory, reply: str) -> None:
    try:
        rule = suggest(reply, Category.MAILBOX_FULL, "our own")
    except InputError:
        return
    path = tmp_path_factory.getbasetemp() / "suggested.toml"
    path.write_text(rule, encoding="utf-8")
    assert check_rules(path) == []


def test_a_flood_over_many_addresses_is_settled_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bouncesink.engine.BATCH", 10)
    monkeypatch.setattr("bouncesink.fold.intentions.OPEN_DOUBTFUL", 8)
    Path("c.toml").write_text(CONFIG)
    forged = [hard(n, n).replace("Lead@", f"lead{n}@") for n in range(40)]
    found = replayed(run, *forged, options=("--config", "c.toml"))
    (flood,) = [each for each in found if "flood" in each["payload"]]
    assert len(found) < 25
    config = ("--config", "c.toml")
    assert "lead39@example.org" in run("review", "show", flood["key"], *config, "--json").out
    done = run("review", "dismiss", flood["key"], *MINE, *config)
    assert "40 notifications" in done.out
    assert reviews(run) == []
    ledger = open_ledger(Path("bouncesink.db"))
    assert ledger.list_actions(ActionKind.ALERT, OPEN) == []
    ledger.close()
    # More of it on the same day shows again.
    more = [hard(n, n).replace("Lead@", f"lead{n}@") for n in range(40, 60)]
    assert any("flood" in each["payload"] for each in replayed(run, *more, options=config))
    assert json.loads(run("check", "lead1@example.org", "--json").out)["mailable"]


REFUSED = unknown(1, "Recipient refuses mail from you").replace("5.0.0", "5.7.1")


def test_who_is_hard_for_a_refusal_is_to_be_asked_and_reinstated_by_the_answer(run: Run) -> None:
    Path("leads.csv").write_text(f"LEAD ID,EMAIL\n1,{LEAD}\n")
    Path("c.toml").write_text('[policy]\nprofile = "rfc5321"\n')
    config = ("--config", "c.toml")
    replayed(run, REFUSED, options=("--leads", "leads.csv", *config))
    (item,) = run("reverify", "list", "--json", *config).lines
    assert (item["address"], item["payload"]["category"]) == (LEAD, "policy")
    assert "1 address to verify" in run("reverify", "list", *config).out
    done = run("reverify", "confirm", "LEAD@example.org", *MINE, *config)
    assert "may be mailed" in done.out
    assert mailable(run)
    assert run("reverify", "list", "--json", *config).lines == []
    ledger = open_ledger(Path("bouncesink.db"))
    (action,) = ledger.list_actions(ActionKind.REVERIFY)
    ledger.close()
    assert (action.state, action.actor) == (ActionState.DONE, "one")
    again = run("reverify", "confirm", LEAD, *MINE, *config)
    assert (again.code, "nothing to reinstate" in again.err) == (2, True)


def test_only_chosen_categories_are_to_be_asked(run: Run) -> None:
    Path("leads.csv").write_text(f"LEAD ID,EMAIL\n1,{LEAD}\n")
    Path("c.toml").write_text('[policy]\nprofile = "rfc5321"\nreverify = []\n')
    replayed(run, REFUSED, options=("--leads", "leads.csv", "--config", "c.toml"))
    assert run("reverify", "list", "--json").lines == []
    Path("c.toml").write_text('[policy]\nreverify = ["user_unknow"]\n')
    wrong = run("reverify", "list", "--config", "c.toml")
    assert (wrong.code, "did you mean user_unknown?" in wrong.err) == (2, True)


def test_a_refusal_that_a_person_confirms_is_to_be_asked_too(run: Run) -> None:
    Path("leads.csv").write_text(f"LEAD ID,EMAIL\n1,{LEAD}\n")
    (item,) = replayed(run, REFUSED, options=("--leads", "leads.csv"))
    assert run("reverify", "list", "--json").lines == []
    run("review", "confirm", item["key"], *MINE)
    assert len(run("reverify", "list", "--json").lines) == 1


def test_what_can_be_read_by_now_waits_no_longer(run: Run) -> None:
    Path("c.toml").write_text("[parse]\ntime_limit = 0.000001\n")
    (item,) = replayed(run, hard(), options=("--config", "c.toml"))
    assert "time limit" in item["payload"]["note"]
    assert mailable(run)
    assert run("rebuild", "--apply").code == 0
    assert not mailable(run)
    assert reviews(run) == []
    late = run("review", "dismiss", item["key"], *MINE)
    assert (late.code, "waits no longer" in late.err) == (1, True)

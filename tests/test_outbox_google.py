"""Lead Details in Google Sheets, against a Google of our own: real HTTP, a real ledger."""

import contextlib
import json
import multiprocessing
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google_server import Book, Fault, GoogleServer, Tab
from google_server.book import Formula

from bouncesink.config import Config, SheetsConfig, parse
from bouncesink.errors import ConfigError, PermanentSinkError, SinkError, TemporarySinkError
from bouncesink.fold import columns
from bouncesink.ledger import open_ledger
from bouncesink.model import Contact, Evidence, Reason, Severity
from bouncesink.outbox import COLUMNS, flush, googlesheet, grid, open_sheet
from bouncesink.outbox.googlesheet import GoogleSheet

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = ["LEAD ID", "EMAIL", "NAME", *COLUMNS]
BOOK = "1aBcDeFgHiJkLmNoP"
CLEAN = ["", "", "", "", ""]
DEAD = ["2026-03-01", "HARD", 1, False, "2026-03-01:5.1.1:m1@example.com"]


def hard(address, *messages):
    messages = messages or ("m1@example.com",)
    at = NOON + timedelta(days=len(messages) - 1)
    return Contact(
        address,
        bounce_type=Severity.HARD,
        bounce_count=len(messages),
        last_bounce_at=at,
        hard_since=NOON,
        suppressed=frozenset({Reason.HARD}),
        evidence=tuple(Evidence(at, "5.1.1", message) for message in messages),
    )


class Time:
    """Time that passes when somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


class House:
    """A server with one tab, a ledger, and a sheet between them."""

    def __init__(self, server, ledger, config, time):
        self.server, self.ledger, self.config, self.time = server, ledger, config, time
        self.tab = server.book.tabs[0]
        self.last = None
        self.sheet = self.another_sheet()

    def another_sheet(self):
        return GoogleSheet(self.config, self.time, self.time.wait)

    def fill(self, *rows, header=HEADER):
        self.tab.rows[:] = Tab.of("", [header, *rows]).rows
        self.tab.width = len(self.tab.rows[0])

    def flush(self, **arguments):
        self.server.requests.clear()
        self.last = flush(self.sheet, self.ledger, self.config, last=self.last, **arguments)
        return self.last

    def cells(self, key):
        """Give our five cells of a lead's row."""
        at = [self.tab.rows[0].index(name) for name in COLUMNS]
        return next([row[c] for c in at] for row in self.tab.rows if row[0] == key)


@pytest.fixture
def house(tmp_path):
    time = Time()
    ledger = open_ledger(tmp_path / "ledger.db")
    with GoogleServer(Book(BOOK, [Tab.of("Lead Details", [HEADER])]), time) as server:
        key = tmp_path / "google.json"
        key.write_text(json.dumps(server.credentials()))
        config = Config(
            sheets=SheetsConfig(spreadsheet=BOOK, credentials=key, api=server.url, timeout=5)
        )
        yield House(server, ledger, config, time)
    ledger.close()


def test_cells_are_real_booleans_integers_and_texts(house):
    house.fill(["L1", "Dead@Example.com", "D"], ["L2", "fine@example.com", "F"])
    house.ledger.put_contacts([hard("dead@example.com")])
    result = house.flush()
    assert (result.rows, result.leads, result.cells) == (2, 2, 5)
    assert house.cells("L1") == DEAD
    assert [type(cell) for cell in house.cells("L1")] == [str, str, int, bool, str]
    assert house.cells("L2") == CLEAN


def test_a_flush_with_nothing_changed_is_one_read(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    house.flush()
    assert house.server.requests == ["read"]


def test_the_config_chooses_the_sheet(house):
    sheet = open_sheet(house.config)
    assert isinstance(sheet, GoogleSheet)
    assert sheet.name == "Google sheet 'Lead Details'"


@pytest.mark.parametrize("width", [3, 4, 26])
def test_missing_columns_are_added_right_of_all_that_is_in_use(house, width):
    house.fill(["L1", "dead@example.com", "D"], header=HEADER[:3])
    house.tab.width = width
    house.tab.rows[:] = [row[:width] for row in house.tab.rows]
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.tab.rows[0][:8] == HEADER
    assert house.tab.rows[1][:8] == ["L1", "dead@example.com", "D", *DEAD]
    assert house.flush().added == ()


def test_a_column_without_a_name_is_not_taken_for_free(house):
    house.fill(["L1", "dead@example.com", "D", "", "a note"], header=HEADER[:3])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.tab.rows[1][:5] == ["L1", "dead@example.com", "D", "", "a note"]
    assert house.tab.rows[0][26:] == list(COLUMNS)
    assert house.cells("L1") == DEAD


def test_only_the_missing_columns_are_added(house):
    house.fill(
        ["TRUE", "dead@example.com", 7, 0],
        header=["EMAIL VALID", "EMAIL", "LEAD ID", "Bounce  Count"],
    )
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.tab.rows[0][4:7] == [COLUMNS[0], COLUMNS[1], COLUMNS[4]]
    assert house.tab.rows[1][:7] == [False, "dead@example.com", 7, 1, DEAD[0], DEAD[1], DEAD[4]]
    assert [lead.id for lead in house.ledger.all_leads()] == ["7"]


@pytest.mark.parametrize(
    ("column", "typed"),
    [
        ("EMAIL VALID", "TRUE"),
        ("EMAIL VALID", "no"),
        ("BOUNCE COUNT", "2"),
        ("BOUNCE COUNT", "1.5"),
        ("EMAIL BOUNCE DATE", "2026-03-01"),  # which makes a number of it, shown as a date
        ("BOUNCE EVIDENCE", "=A1"),
        ("EMAIL BOUNCE TYPE", ""),
    ],
)
def test_what_a_person_types_over_our_cells_is_put_back_and_noted(house, column, typed):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    api = house.sheet._api._opened  # as good a way in as any: a person's browser
    place = f"'Lead Details'!{'ABCDEFGH'[HEADER.index(column)]}2"
    data = [{"range": place, "values": [[typed]]}]
    api.values_batch_update(BOOK, {"valueInputOption": "USER_ENTERED", "data": data})
    assert house.cells("L1") != DEAD
    assert [change.column for change in house.flush().put_back] == [column]
    assert house.cells("L1") == DEAD


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "'x", "TRUE", "007"])
def test_a_text_arrives_as_text(house, text):
    house.fill(["L1", "dead@example.com", "D"])
    house.sheet.read()
    house.sheet.write({2: (text, text, 1, True, text)})
    assert house.cells("L1") == [text, text, 1, True, text]
    assert house.sheet.read().rows[0].cells == (text, text, 1, True, text)


def test_keys_may_be_numbers_dates_and_errors(house):
    house.fill(
        [7, "a@example.com"],
        [7.5, "b@example.com"],
        [True, "c@example.com"],
        [Formula("=x"), "d@example.com"],
        ["", "e@example.com"],
    )
    house.ledger.put_contacts([hard(f"{c}@example.com") for c in "abcde"])
    house.flush()
    assert [row[3:8] for row in house.tab.rows[1:6]] == [DEAD] * 5
    assert house.last.repairs == 0


class Hand:
    """Sorts and inserts, as people do while we work; each time with a given chance."""

    def __init__(self, chance, seed):
        self.chance = chance
        self.random = random.Random(seed)
        self.moves = self.inserted = 0

    def __call__(self, tab):
        if self.random.random() >= self.chance:
            return
        self.moves += 1
        if self.random.random() < 0.7:
            tab.sort(self.random.choice([0, 1, 2]), reverse=self.random.random() < 0.5)
        else:
            self.inserted += 1
            n = self.inserted
            new = self.random.choice([[], [f"N{n}", f"new{n}@example.org", f"n{n}"]])
            tab.insert(self.random.randrange(1, len(tab.rows)), new)


@pytest.mark.parametrize(
    ("chance", "leads", "flushes", "large"),
    [
        # The size that we promise, which takes long: it goes with the real servers.
        pytest.param(0.5, 1000, 50, False, marks=pytest.mark.e2e),
        (0.7, 100, 15, False),
        (0.4, 100, 15, True),
    ],
)
def test_a_hand_that_moves_rows_between_requests_makes_no_cell_wrong(
    house, monkeypatch, chance, leads, flushes, large
):
    if large:  # as with more rows than a write returns in full, and than one request may change
        monkeypatch.setattr(googlesheet, "ECHO_ROWS", 10)
        monkeypatch.setattr(grid, "PART_ROWS", 7)
    rng = random.Random(11)
    house.fill(
        *(
            [
                f"L{n:04}",
                f"user{n}@example.com",
                f"name{rng.random()}",
                "",
                "",
                "",
                rng.choice(["", True, False]),  # the word of another tool
                "",
            ]
            for n in range(leads)
        )
    )
    others = {row[0]: [*row[:3], *row[8:]] for row in house.tab.rows[1:] if row[0]}
    foreign = {row[0]: row[3:8] for row in house.tab.rows[1:] if row[0]}
    house.server.hand = Hand(chance, 5)
    bounced, expected, asked = {}, foreign, 0
    for _ in range(flushes):
        for n in rng.sample(range(leads), 10):
            address = f"user{n}@example.com"
            before = bounced[address].evidence if address in bounced else ()
            messages = [*(one.message_id for one in before), f"m{rng.random()}@example.com"]
            bounced[address] = hard(address, *messages)
            made = columns(bounced[address], UTC)
            expected[f"L{n:04}"] = [made.date, made.type, made.count, made.valid, made.evidence]
        house.ledger.put_contacts(list(bounced.values()))
        assert not house.flush().problems
        asked += len(house.server.requests)
        rows = [row for row in house.tab.rows[1:] if any(cell != "" for cell in row)]
        assert {row[0] for row in rows} >= others.keys()
        for row in rows:
            assert row[3:8] == expected.get(row[0], CLEAN), row[0]
            if row[0] in others:
                assert [*row[:3], *row[8:]] == others[row[0]]
    assert house.server.hand.moves > flushes
    assert asked / flushes <= 6


def test_a_sheet_that_never_rests_is_given_up_until_the_next_flush(house):
    house.fill(*([f"L{n}", f"user{n}@example.com", "n"] for n in range(20)))
    house.ledger.put_contacts([hard("user3@example.com")])
    hand = random.Random(1)

    def shuffle(tab):
        below = tab.rows[1:21]
        hand.shuffle(below)
        tab.rows[1:21] = below

    house.server.hand = shuffle
    with contextlib.suppress(TemporarySinkError):  # or by chance all is right in the end
        house.flush()
    house.server.hand = None
    house.flush()
    assert house.cells("L3") == DEAD
    assert all(house.cells(f"L{n}") in (CLEAN, ["", "", 0, True, ""]) for n in range(20) if n != 3)


STORMS = {
    "html 502": [Fault(502, html=True, only="read")] * 3,
    "500 and 503": [Fault(500, only="read"), Fault(503, only="read")],
    "429 with Retry-After": [Fault(429, retry_after=20, only="write")],
    "html 502 for a write that was made": [Fault(502, html=True, after=True, only="write")],
    "500 for a write that was not": [Fault(500, only="write")] * 2,
    "no answer to a read": [Fault(hang=True, only="read")],
    "no answer to a write that was made": [Fault(hang=True, after=True, only="write")],
    "no token at first": [Fault(502, html=True, only="token")],
}


@pytest.mark.parametrize("faults", STORMS.values(), ids=STORMS)
def test_after_trouble_the_sheet_equals_the_ledger(house, faults):
    if any(fault.hang for fault in faults):
        house.config = replace(house.config, sheets=replace(house.config.sheets, timeout=1.0))
    house.sheet = house.another_sheet()
    house.fill(["L1", "dead@example.com", "D"], ["L2", "fine@example.com", "F"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.server.faults.extend(faults)
    house.flush()
    assert not house.server.faults
    assert house.cells("L1") == DEAD
    assert house.cells("L2") == CLEAN
    house.flush()
    assert house.server.requests == ["read"]


def test_a_write_without_an_answer_is_not_repeated_blindly(house):
    house.fill(["L1", "dead@example.com", "D"], ["L2", "fine@example.com", "F"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.sheet.read()
    house.server.faults.append(Fault(502, html=True, after=True, only="write"))
    house.flush()
    assert house.server.count("write") == 1


def test_a_quota_storm_passes_and_nothing_is_lost(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.server.storm_until = house.time.now + 120
    began = house.time.now
    with pytest.raises(TemporarySinkError, match="the quota is used up"):
        house.flush()
    while house.cells("L1") != DEAD:
        with contextlib.suppress(TemporarySinkError):
            house.flush()
    assert 120 <= house.time.now - began < 240


def test_we_keep_below_the_quota(house):
    house.fill(["L1", "dead@example.com", "D"])
    began = house.time.now
    for n in range(100):
        house.ledger.put_contacts(
            [hard("dead@example.com", *(f"m{k}@x.test" for k in range(n + 1)))]
        )
        house.flush()
    assert house.time.now - began > 60
    assert not any(house.server.faults)
    assert house.server.refused_tokens == 0


def test_a_token_that_expires_is_replaced(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.flush()
    house.server.expire_tokens()
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.cells("L1") == DEAD
    assert house.server.count("token") == 1


def flush_once(ledger, config):
    opened = open_ledger(ledger)
    flush(GoogleSheet(config), opened, config)


def test_a_flush_that_was_killed_amid_a_write_gone_astray_is_made_good(house, tmp_path):
    """The rows are sorted just before the write, and the process dies before it hears of it."""
    house.fill(*([f"L{n}", f"user{n}@example.com", f"n{n}"] for n in range(6)))
    complained = Contact("user2@example.com", suppressed=frozenset({Reason.COMPLAINT}))
    house.ledger.put_contacts([hard("user1@example.com"), complained])
    house.tab.rows[4][6] = True
    dying = multiprocessing.get_context("spawn").Process(
        target=flush_once, args=(tmp_path / "ledger.db", house.config)
    )

    def hand(tab):
        if house.server.requests[-1] == "write":
            tab.sort(0, reverse=True)
            house.server.hand = None

    house.server.hand = hand
    house.server.faults.append(Fault(hang=True, after=True, only="write"))
    dying.start()
    while house.server.hand:  # until the write has been made
        dying.join(0.01)
        assert dying.exitcode is None
    dying.kill()
    dying.join()
    astray = [house.cells(f"L{n}") for n in range(6)]
    assert astray[4] == DEAD  # in the row of a lead that never bounced
    assert house.flush().cells
    assert house.cells("L1") == DEAD
    assert house.cells("L2") == ["", "", 0, False, ""]
    for lead in ("L0", "L3", "L4", "L5"):
        assert house.cells(lead) in (CLEAN, ["", "", 0, True, ""], ["", "", "", True, ""])
    assert house.flush().cells == 0


def test_a_column_that_moved_since_the_last_flush_is_found_again(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.flush()
    house.tab.insert_column(1, "new")
    house.tab.rows[1][1] = "x"
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.tab.rows[1][:9] == ["L1", "x", "dead@example.com", "D", *DEAD]


def test_columns_that_are_no_more_are_added_again(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.tab.width = 8
    house.tab.rows[:] = [row[:8] for row in house.tab.rows]
    house.flush()
    house.tab.width = 4
    house.tab.rows[:] = [row[:4] for row in house.tab.rows]
    house.ledger.put_contacts([hard("dead@example.com")])
    assert len(house.flush().added) == 4
    assert house.cells("L1") == DEAD


def test_a_tab_of_a_header_alone_gets_its_columns_and_later_its_rows(house):
    house.fill(header=HEADER[:3])
    del house.tab.rows[1:]
    assert len(house.flush().added) == 5
    house.tab.insert(1, ["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.cells("L1") == DEAD


def test_rows_of_which_only_a_checkbox_is_filled_count_for_nothing(house):
    house.fill(["L1", "dead@example.com", "D"], ["", "", "", "", "", "", False])
    assert house.flush().rows == 1


def test_a_column_that_moves_amid_a_flush_is_told_and_made_good(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])

    def hand(tab):
        if house.server.requests[-1] == "write":
            tab.insert_column(3, "new")
            house.server.hand = None

    house.server.hand = hand
    with pytest.raises(TemporarySinkError, match=r"columns D, E, F, G, H, rows 2 to 2.*history"):
        house.flush()
    house.flush()
    assert house.cells("L1") == DEAD


def test_rows_that_are_deleted_amid_a_flush_stop_nothing(house):
    house.fill(*([f"L{n}", f"user{n}@example.com", "n"] for n in range(50)))
    house.ledger.put_contacts([hard("user49@example.com")])

    def hand(tab):
        if house.server.requests[-1] == "write":
            del tab.rows[1:41], tab.rows[11:]
            house.server.hand = None

    house.server.hand = hand
    house.flush()
    assert house.cells("L49") == DEAD
    assert len(house.tab.rows) == 11


def test_a_tab_that_was_made_anew_under_its_name_is_found(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.flush()
    house.tab.id = 8
    house.ledger.put_contacts([hard("dead@example.com")])
    house.flush()
    assert house.cells("L1") == DEAD


def not_shared(house):
    house.server.book.editors.clear()


def read_only(house):
    house.server.book.editors.clear()
    house.server.book.readers.add(house.server.account)


def renamed(house):
    house.tab.title = "Old"


def no_such_book(house):
    house.server.book.id = "another"


def header_twice(house):
    house.tab.rows[0][10] = "EMAIL"


def no_email(house):
    house.tab.rows[0][1] = "Mail"


def protected(house):
    house.tab.protected.add(6)


def no_key(house):
    house.config.sheets.credentials.unlink()


def no_json(house):
    house.config.sheets.credentials.write_text("{")


def another_key(house):
    key = house.server.credentials() | {"client_email": "someone@example.com"}
    house.config.sheets.credentials.write_text(json.dumps(key))


TROUBLE = [
    (not_shared, "Share the spreadsheet with sink@project"),
    (read_only, "Share the spreadsheet with sink@project"),
    (renamed, "no tab is called 'Lead Details'; there are: Old"),
    (no_such_book, "no such spreadsheet"),
    (header_twice, r"'EMAIL' heads several columns \(2 and 11\)"),
    (no_email, "no column is called 'EMAIL'; its header has: LEAD ID, Mail, NAME"),
    (protected, "Let sink@project.* edit our five columns"),
    (no_key, r"google\.json: no such file"),
    (no_json, "the JSON key of a service account is wanted"),
    (another_key, "gives someone@example.com no access token"),
]


@pytest.mark.parametrize(("cause", "words"), TROUBLE, ids=[cause.__name__ for cause, _ in TROUBLE])
def test_trouble_is_a_clear_line_and_passes_when_it_is_mended(house, cause, words):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts([hard("dead@example.com")])
    kept = house.config.sheets.credentials.read_text()
    rows = [[*row] for row in house.tab.rows]
    cause(house)
    with pytest.raises(PermanentSinkError, match=words) as caught:
        house.flush()
    assert "\n" not in str(caught.value)
    house.server.book.id = BOOK
    house.server.book.editors.add(house.server.account)
    house.tab.title = "Lead Details"
    house.tab.rows[:] = rows
    house.tab.protected.clear()
    house.config.sheets.credentials.write_text(kept)
    house.flush()
    assert house.cells("L1") == DEAD


def test_trouble_in_the_middle_of_service_is_told_too(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.flush()
    renamed(house)
    with pytest.raises(PermanentSinkError, match="there are: Old"):
        house.flush()


def test_the_key_may_be_a_systemd_credential(house, tmp_path, monkeypatch):
    folder = tmp_path / "credentials"
    folder.mkdir()
    house.config.sheets.credentials.rename(folder / "google.json")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert house.flush().rows == 0


@pytest.mark.parametrize(
    "line",
    [
        'spreadsheet = "https://docs.google.com/spreadsheets/d/1aBcDeFgHiJkLmNoP/edit"',
        'api = "http://sheets.example.com"',
        'api = "https://sheets.example.com/path"',
        "timeout = 0",
    ],
)
def test_a_config_that_cannot_work_is_refused(tmp_path, line):
    with pytest.raises(ConfigError, match=r"line 2: sheets\."):
        parse(f"[sheets]\n{line}\n", tmp_path / "bouncesink.toml")


def test_many_changes_go_in_requests_of_a_bearable_size():
    rows = [(n, {3: "x" * 400, 4: 1}) for n in range(2, 12_002)]
    parts = list(grid.parts(rows))
    assert [number for part in parts for number in part] == [number for number, _ in rows]
    for part in parts:
        assert len(part) <= grid.PART_ROWS
        assert sum(len(str(cell)) for cells in part.values() for cell in cells.values()) <= (
            grid.PART_SIZE
        )


def test_an_evidence_beyond_the_cell_limit_stays_below_it(house):
    house.fill(["L1", "dead@example.com", "D"])
    house.ledger.put_contacts(
        [hard("dead@example.com", *(f"{n:0200}@example.com" for n in range(400)))]
    )
    house.flush()
    evidence = house.cells("L1")[4]
    assert evidence.startswith("(+")
    assert len(evidence) <= 32_000


def test_what_the_server_does_not_take_is_refused(house):
    """The server is strict where Google is: a cell too long fails the whole batch."""
    house.fill(["L1", "dead@example.com", "D"])
    house.sheet.read()
    with pytest.raises(SinkError):
        house.sheet._api.update(
            [
                {
                    "updateCells": {
                        "start": {"sheetId": 7, "rowIndex": 1, "columnIndex": 3},
                        "rows": [
                            {"values": [{"userEnteredValue": {"stringValue": "x"}}]},
                            {"values": [{"userEnteredValue": {"stringValue": "x" * 50_001}}]},
                        ],
                        "fields": "userEnteredValue",
                    }
                }
            ],
            [],
        )
    assert house.cells("L1") == CLEAN

"""A flush of 1,000 changes into 100,000 leads: Google Sheets (a local one) and CSV.

The peer reads the whole tab with gspread and writes the changed cells, as a plain script would:
with no look at whether the rows were still the rows. Run as `python tests/bench/sheets.py`.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

LEADS = 100_000
CHANGES = 1_000
OTHERS = 12
BOOK = "a-large-spreadsheet"
HEADER = ["LEAD ID", "EMAIL", *(f"Column {n}" for n in range(OTHERS))]
spawn = multiprocessing.get_context("spawn")


def rows(leads):
    yield HEADER
    for n in range(leads):
        yield [f"L{n}", address(n), *(f"value {n} {k}" for k in range(OTHERS))]


def address(n):
    return f"lead{n}@company{n % 3000}.example"


def serve(leads, pipe):
    """Be Google in a process of one's own; answer each message with the requests made so far."""
    from google_server import Book, GoogleServer, Tab

    with GoogleServer(Book(BOOK, [Tab.of("Lead Details", list(rows(leads)))])) as server:
        server.quota = None
        pipe.send((server.url, server.credentials()))
        while pipe.recv():
            pipe.send(list(server.requests))
            server.requests.clear()


def bounced(every, message):
    from bouncesink.model import Contact, Evidence, Reason, Severity

    when = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        Contact(
            address(n),
            bounce_type=Severity.HARD,
            bounce_count=1,
            last_bounce_at=when,
            hard_since=when,
            suppressed=frozenset({Reason.HARD}),
            evidence=(Evidence(when, "5.1.1", message),),
        )
        for n in range(0, LEADS, every)
    ]


def measure(label, pipe, steps):
    """Run steps one after the other; tell of each its time, its requests, and the memory so far."""
    for name, step in steps:
        began = time.perf_counter()
        step()
        seconds = time.perf_counter() - began
        pipe.send("count") if pipe else None
        made = pipe.recv() if pipe else []
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        asked = f"{made.count('read')} reads, {made.count('write')} writes" if pipe else ""
        print(f"{label:14} {name:28} {seconds:7.2f} s  {memory:6.0f} MB  {asked}", flush=True)


def flusher(folder, config):
    """Give the steps of a flush into whatever the config names."""
    from bouncesink.ledger import open_ledger
    from bouncesink.outbox import flush, open_sheet

    ledger = open_ledger(folder / f"{config.sheets.spreadsheet or 'csv'}.db")
    sheet = open_sheet(config)

    def change(count, message):
        ledger.put_contacts(bounced(LEADS // count, message))
        result = flush(sheet, ledger, config)
        assert not result.problems
        return result

    return [
        ("first, adds columns", lambda: flush(sheet, ledger, config)),
        (f"{CHANGES:,} changes", lambda: change(CHANGES, "m1@example.com")),
        ("1 change", lambda: change(1, "m2@example.com")),
        ("nothing changed", lambda: flush(sheet, ledger, config)),
    ]


def google(folder, url, pipe):
    from bouncesink.config import Config, SheetsConfig

    key = folder / "google.json"
    config = Config(sheets=SheetsConfig(spreadsheet=BOOK, credentials=key, api=url))
    measure("Google Sheets", pipe, flusher(folder, config))


def csv_file(folder, _url, _pipe):
    import csv

    from bouncesink.config import Config, SheetConfig

    config = Config(sheet=SheetConfig(path=folder / "leads.csv"))
    with config.sheet.path.open("w", newline="") as file:
        csv.writer(file).writerows(rows(LEADS))
    measure("CSV", None, flusher(folder, config))


def peer(folder, url, pipe):
    from google.auth.transport.requests import Request
    from google.oauth2.service_account import Credentials
    from gspread.http_client import HTTPClient
    from requests import Session

    scopes = ["https://www.googleapis.com/auth/spreadsheets"]
    key = Credentials.from_service_account_file(folder / "google.json", scopes=scopes)
    session = Session()
    key.refresh(Request(session))
    session.headers["Authorization"] = f"Bearer {key.token}"

    class Client(HTTPClient):
        def request(self, method, endpoint, *args, **kwargs):
            path = endpoint.removeprefix("https://sheets.googleapis.com")
            return super().request(method, url + path, *args, **kwargs)

    client = Client(key, session)

    def run():
        params = {"valueRenderOption": "UNFORMATTED_VALUE"}
        read = client.values_batch_get(BOOK, ["'Lead Details'"], params)
        place = {row[1]: n for n, row in enumerate(read["valueRanges"][0]["values"], 1)}
        data = [
            {
                "range": f"'Lead Details'!O{place[address(n)]}:S{place[address(n)]}",
                "values": [["2026-03-01", "HARD", 1, False, "2026-03-01:5.1.1:m2@example.com"]],
            }
            for n in range(0, LEADS, LEADS // CHANGES)
        ]
        client.values_batch_update(BOOK, {"valueInputOption": "RAW", "data": data})

    measure("plain gspread", pipe, [(f"{CHANGES:,} changes", run)])


def main():
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(LEADS, theirs))
    server.start()
    url, key = ours.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "google.json").write_text(json.dumps(key))
        print(f"{LEADS:,} leads with {len(HEADER)} columns of others; memory is the peak so far")
        for run in (google, peer, csv_file):
            process = spawn.Process(target=run, args=(folder, url, ours))
            process.start()
            process.join()
    ours.send(None)
    server.join()


if __name__ == "__main__":
    main()

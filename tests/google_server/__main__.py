"""Try bouncesink against a Google of one's own: serve a tab made of a CSV until interrupted."""

import csv
import json
import sys
from pathlib import Path

from google_server import Book, GoogleServer, Tab


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python -m google_server LEADS.csv CREDENTIALS.json (which is written)")
    leads, credentials = map(Path, sys.argv[1:])
    with leads.open(newline="", encoding="utf-8-sig") as file:
        tab = Tab.of("Lead Details", list(csv.reader(file)))
    with GoogleServer(Book("a-spreadsheet", [tab])) as server:
        credentials.write_text(json.dumps(server.credentials()))
        print("[sheets]")
        print('spreadsheet = "a-spreadsheet"')
        print(f'credentials = "{credentials.resolve()}"')
        print(f'api = "{server.url}"', flush=True)
        try:
            while input("\nEnter shows the tab, end of input ends: ") is not None:
                csv.writer(sys.stdout).writerows(row for row in tab.rows if any(row))
        except (EOFError, KeyboardInterrupt):
            print()


if __name__ == "__main__":
    main()

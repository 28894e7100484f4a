"""The shape of the SQLite ledger: forward-only migrations, run once, when a ledger is opened.

A migration is a file of SQL beside this one. A released one is never edited: the next shape is
the next file.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

MIGRATION_SET = "bouncesink"
MIGRATIONS = (
    "0001_ledger",
    "0002_privacy",
    "0003_mining",
    "0004_replays",
    "0006_watch",
    "0007_pages",
    "0008_health",
    "0009_unfolded",
    "0010_owed",
)


def applied(connection: sqlite3.Connection) -> tuple[str, ...] | None:
    """Name the migrations that a file has had, or give None where it is no ledger of ours."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE name = '_sqlite_migrations'"
    ).fetchone()
    if not found:
        return None
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id", (MIGRATION_SET,)
    ).fetchall()
    return tuple(name for (name,) in rows) or None


def is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, inside the caller's transaction."""
    # Only here: it takes longer to import than everything else about an up-to-date ledger.
    from sqlite_utils import Database, Migrations

    migrations = Migrations(MIGRATION_SET)

    def run(database: Database, /) -> None:
        for statement in statements(name):
            database.execute(statement)

    for name in MIGRATIONS:
        migrations(name=name)(run)
        migrations.apply(Database(connection, execute_plugins=False))


def statements(name: str) -> Iterator[str]:
    """Split a migration: `executescript` would commit the transaction that we are in."""
    text = Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"{name}.sql: an unfinished statement: {statement!r}")

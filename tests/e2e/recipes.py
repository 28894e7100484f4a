"""The files of deploy/, with the names and places in them changed to those of a test."""

from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def recipe(name: str, changes: dict[str, str]) -> str:
    """Give the text of a file of deploy/. Each of `changes` must have something to change in it."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r}"
        text = text.replace(old, new)
    return text

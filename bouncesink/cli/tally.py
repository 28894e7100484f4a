"""What a replay tells about what it did."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import print_json
from bouncesink.cli.show import plural, safe, table
from bouncesink.model import Arrival, Kind, Severity, TrustLevel
from bouncesink.shape import event_as_json

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Outcome
    from bouncesink.intake.found import Found, PassedOver
    from bouncesink.ledger import Replay

_ROWS = 1000
"""Above so many files a table helps nobody: the summary stands alone, and --json has the rest."""


@dataclass(slots=True)
class Tally:
    """What a replay saw, kept small however long it runs."""

    as_json: bool
    rows: list[Sequence[object]] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)
    severities: Counter[Severity] = field(default_factory=Counter)
    passed_over: "Counter[PassedOver]" = field(default_factory=Counter)
    before: "list[Replay]" = field(default_factory=list)
    read: int = 0
    known: int = 0
    same: int = 0
    elsewhere: int = 0
    left: int = 0
    unchecked: int = 0
    problems: int = 0
    _files: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def find(self, found: "Found") -> None:
        """Take note of what a file holds."""
        self.problems += bool(found.problem)
        if found.passed_over:
            self.passed_over[found.passed_over] += 1
        if found.resumed and found.resumed.done:
            self.before.append(found.resumed)
        archive = found.resumed or found.mark
        if self.as_json and archive and archive.done:
            print_json(_archive_line(archive, already=found.resumed is not None))

    def begin(self, arrivals: Sequence[Arrival], files: Sequence[str], new: Sequence[bool]) -> None:
        """Take note of mails that are in the ledger now, and were not before where `new`."""
        self._files = {each.id: file for each, file in zip(arrivals, files, strict=True)}
        self._known = {each.id for each, is_new in zip(arrivals, new, strict=True) if not is_new}

    def observe(self, outcome: "Outcome") -> None:
        """Take note of one arrival; those of other ways in are drained too, but not shown."""
        file = self._files.pop(outcome.arrival.id, None)
        if file is None:
            return
        self._known.discard(outcome.arrival.id)  # another process put it there, unread yet
        self.read += 1
        self.kinds[outcome.settlement.kind] += 1
        self.same += bool(outcome.reading.notice.reports) and not outcome.events
        for event in outcome.events:
            if event.verdict:
                self.severities[event.verdict.severity] += 1
            self.unchecked += bool(event.trust and event.trust.level is TrustLevel.UNCHECKED)
        if self.as_json:
            print_json(_line(file, outcome))
        elif self.read <= _ROWS:
            self.rows += _rows(file, outcome)

    def end(self) -> None:
        """Count what of the mails of `begin` was not observed."""
        self.known += len(self._known)
        self.elsewhere += len(self._files) - len(self._known)

    def show(self, reviews: int) -> None:
        """Print the table and the summary; `reviews` is how many items wait in the ledger."""
        if self.as_json:
            return
        if self.rows and self.read <= _ROWS:
            headers = ("file", "kind", "recipient", "means", "why", "code")
            click.echo(table(headers, self.rows) + "\n")
        for line in self._summary(reviews):
            click.echo(line)

    def _summary(self, reviews: int) -> Iterator[str]:
        from bouncesink.intake.found import PassedOver

        kinds = ", ".join(f"{n:,} {kind.value}" for kind, n in self.kinds.most_common())
        yield f"{plural(self.read, 'mail')} read" + (f": {kinds}" if kinds else "") + "."
        if self.severities:
            found = ", ".join(f"{n:,} {each.value}" for each, n in self.severities.most_common())
            yield f"New in the ledger: {found}."
        for archive in self.before:
            yield (
                f"{safe(archive.path)} was already taken in: {plural(archive.mails, 'mail')}, "
                f"{archive.passed_over:,} passed over; --restart reads it again."
            )
        if self.known:
            yield f"{plural(self.known, 'mail')} already in the ledger: nothing to do."
        if self.left:
            yield f"{plural(self.left, 'mail')} read that had been taken in before, and not read."
        if self.same:
            yield f"{plural(self.same, 'mail')} told what another had told: counted once."
        if ordinary := self.passed_over[PassedOver.ORDINARY]:
            yield (
                f"{plural(ordinary, 'mail')} passed over and not kept: no machine wrote them, "
                "by their headers; --all takes them too."
            )
        if no_mail := self.passed_over[PassedOver.NO_MAIL]:
            yield f"{plural(no_mail, 'file')} passed over: no mail."
        if reviews:
            yield f"{plural(reviews, 'item waits', 'items wait')} for `bouncesink review`."
        if self.unchecked:
            yield (
                "No mailboxes are configured, so there was nothing to compare a bounce with: "
                "each was acted on."
            )
        if self.elsewhere:
            yield f"{plural(self.elsewhere, 'mail')} read by another process meanwhile."
        if self.problems:
            yield f"{plural(self.problems, 'file')} could not be taken, see above."


def _archive_line(archive: "Replay", *, already: bool) -> dict[str, object]:
    return {
        "archive": archive.path,
        "mails": archive.mails,
        "passed_over": archive.passed_over,
        "already_taken_in": already,
    }


def _line(file: str, outcome: "Outcome") -> dict[str, object]:
    return {
        "file": file,
        "arrival_id": outcome.arrival.id,
        "kind": outcome.settlement.kind.value,
        "state": outcome.settlement.state.value,
        "events": [event_as_json(event) for event in outcome.events],
        "damage": list(outcome.settlement.damage),
    }


def _rows(file: str, outcome: "Outcome") -> Iterator[Sequence[object]]:
    name, kind = Path(file).name[:40], outcome.settlement.kind.value
    for event in outcome.events:
        report, verdict = event.report, event.verdict
        yield (
            name,
            event.kind.value,
            safe(event.address, 44),
            verdict and verdict.severity.value,
            verdict and verdict.category.value,
            report and (report.status or report.reply_code),
        )
    if not outcome.events:
        said = outcome.settlement.note or (
            "as another mail said" if outcome.reading.notice.reports else ""
        )
        yield name, kind, safe(said, 44), None, None, None

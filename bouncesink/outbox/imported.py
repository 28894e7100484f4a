"""Leads from a CSV file that is no sheet of ours: read, and never written."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bouncesink.config import SheetConfig
from bouncesink.outbox.csvsheet import CsvSheet
from bouncesink.outbox.lead_details import Cells, Reading, Sheet, Written


class ImportedLeads(Sheet):
    """See `Sheet`. Flushing it brings in the leads, and does nothing else."""

    def __init__(self, path: Path, config: SheetConfig) -> None:
        self._file = CsvSheet(replace(config, path=path))

    @property
    def name(self) -> str:
        return self._file.name

    def read(self) -> Reading:
        reading = self._file.read()
        return Reading(reading.rows, problems=reading.problems)

    def write(self, changes: Mapping[int, Cells]) -> Written:  # noqa: ARG002 - of the protocol
        return Written.SETTLED

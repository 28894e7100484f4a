"""What comes out: the Lead Details sheet, kept equal to the ledger.

`open_sheet` gives the sheet that the config names, `flush` reconciles it,
`preview` only says what that would change.
"""

from bouncesink.config import Config
from bouncesink.outbox.lead_details import COLUMNS, Sheet
from bouncesink.outbox.reconcile import Change, FlushResult, flush, preview

__all__ = ["COLUMNS", "Change", "FlushResult", "Sheet", "flush", "open_sheet", "preview"]


def open_sheet(config: Config) -> Sheet:
    """Give the Lead Details sheet that the config names; nothing is read yet."""
    from bouncesink.outbox.csvsheet import CsvSheet

    return CsvSheet(config.sheet)

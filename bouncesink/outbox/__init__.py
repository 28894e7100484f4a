"""What comes out: the Lead Details sheet, kept equal to the ledger.

`open_sheet` gives the sheet that the config names, `flush` reconciles it,
`preview` only says what that would change.
"""

from bouncesink.config import Config
from bouncesink.errors import ConfigError
from bouncesink.outbox.lead_details import COLUMNS, Sheet
from bouncesink.outbox.reconcile import Change, FlushResult, flush, preview

__all__ = ["COLUMNS", "Change", "FlushResult", "Sheet", "flush", "open_sheet", "preview"]


def open_sheet(config: Config) -> Sheet | None:
    """Give the Lead Details sheet that the config names, unread; None while there is none.

    The CSV file is the embedded default, so a service without leads runs well without it.
    """
    if config.sheets.spreadsheet:
        try:
            from bouncesink.outbox.googlesheet import GoogleSheet
        except ImportError as error:
            raise ConfigError(
                f"[sheets] needs a package that is not installed ({error.name}): "
                "pip install 'bouncesink[sheets]'"
            ) from None
        return GoogleSheet(config)
    from bouncesink.outbox.csvsheet import CsvSheet

    return CsvSheet(config.sheet) if config.sheet.path.exists() else None

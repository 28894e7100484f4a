"""A sheet for one run of a command."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bouncesink.cli.show import plural, safe
from bouncesink.config import Config
from bouncesink.errors import InputError

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.engine import Engine


def copy_sheet(config: Config, leads: Path, out: Path | None) -> Config:
    """Copy a sheet to where it may be written, and give the config that names the copy."""
    out = out or config.sheet.path
    if out.exists() and leads.exists() and out.samefile(leads):
        raise InputError(f"{out}: would be written over by its own copy; choose another --out")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give --out the path of a file")
    if out.exists() and not out.is_file():
        raise InputError(f"{out}: is a device or a pipe; give --out the path of a file")
    if out.exists() and config.ledger.path.exists() and out.samefile(config.ledger.path):
        raise InputError(f"{out}: is the ledger; choose another --out")
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        shutil.copyfile(leads, part)
        part.replace(out)
    except OSError as error:
        with suppress(OSError):  # on a read-only disk not even what is not there can be removed
            part.unlink(missing_ok=True)
        raise InputError(f"{leads}: cannot be copied to {out}: {error.strerror}") from None
    return replace(config, sheet=replace(config.sheet, path=out))


def flush_sheet(engine: "Engine") -> str:
    """Reconcile the sheet with the ledger; say what that did, for a person."""
    from bouncesink.outbox import flush, open_sheet

    sheet = open_sheet(engine.config)
    if sheet is None:
        return f"{safe(str(engine.config.sheet.path))}: there is no such sheet."
    result = flush(sheet, engine.ledger, engine.config, redecide=engine.redecide)
    name, cells = safe(sheet.name), plural(len(result.changes), "cell")
    lines = [f"{name}: {plural(result.leads, 'lead')}, {cells} written."]
    lines += [f"{name}: {safe(problem)}" for problem in result.problems]
    return "\n".join(lines)

"""Every error that bouncesink raises on purpose.

    BouncesinkError
    +-- ConfigError           the config file: exit code 2
    +-- InputError            a file or an argument that was given: exit code 2
    +-- AlreadyDecided        somebody else was quicker: exit code 1
    +-- MailboxError          a mailbox cannot be mined now: exit code 1
    +-- LedgerError           the ledger cannot be used: exit code 3
    |   +-- LedgerBusy        another process holds it; try again
    |   +-- LedgerFull        the disk is full; try again
    |   +-- LedgerTooNew      written by a newer version
    +-- SinkError             a sink failed
        +-- TemporarySinkError    worth another try
        +-- PermanentSinkError    a dead letter

Each message says what is wrong, where, and what to do about it: it is shown to a person as it is.
"""


class BouncesinkError(Exception):
    exit_code = 1


class ConfigError(BouncesinkError):
    exit_code = 2


class InputError(BouncesinkError):
    exit_code = 2


class AlreadyDecided(BouncesinkError):
    pass


class MailboxError(BouncesinkError):
    pass


class LedgerError(BouncesinkError):
    exit_code = 3


class LedgerBusy(LedgerError):
    pass


class LedgerFull(LedgerError):
    pass


class LedgerTooNew(LedgerError):
    pass


class SinkError(BouncesinkError):
    exit_code = 4


class TemporarySinkError(SinkError):
    pass


class PermanentSinkError(SinkError):
    pass

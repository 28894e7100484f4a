"""File handles: one for each connection, and there must be some left for the ledger."""

import resource

import structlog

log = structlog.get_logger()

SPARE = 1300
"""For the ledger, the sheet, the queues, and several backlogs of peers that are to be sent away."""


def make_room(connections: int) -> None:
    """Have the kernel grant a handle for so many connections; Debian starts us with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < wanted:
        log.warning("lmtp.few_handles", granted=granted, wanted=wanted, hint="raise LimitNOFILE=")

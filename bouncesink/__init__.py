"""A self-hosted bounce handler: bounces in over LMTP or from files, a ledger and verdicts out."""

__version__ = "0.1.0"

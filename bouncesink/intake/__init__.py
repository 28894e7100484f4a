"""A source -> Arrival -> ledger. Never parses."""

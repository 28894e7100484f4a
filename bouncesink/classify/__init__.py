"""PURE. Report -> Verdict, by rules that are data."""

"""Intentions carried out, each at least once and harmless when performed twice."""

"""PURE. Arrival -> Notice. Never raises."""

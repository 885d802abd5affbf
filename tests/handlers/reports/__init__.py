"""The report handlers."""

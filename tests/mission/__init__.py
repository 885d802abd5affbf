"""The mission: every line of the four platforms' checklist, and the tests that show it."""

"""Counts in sentences."""


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun, and the verb if it has one: `1 job`, `1,204 jobs`, `plural(2, "job waits", "jobs wait")`.

    Args:
        many: what stands with every other count; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"

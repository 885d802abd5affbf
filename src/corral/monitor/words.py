"""Numbers as people say them, in the sentences of findings."""


def span(ms: float) -> str:
    """`0.8 s`, `18 min`, `3 h`."""
    seconds = max(0.0, ms) / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def share(part: float) -> str:
    """`12.5 %`."""
    return f"{part * 100:.3g} %"

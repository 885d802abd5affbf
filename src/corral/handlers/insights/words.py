"""Numbers and days as people say them."""

from datetime import date

#: Beyond this a percentage is hard to imagine; it becomes "4 times as much".
_TIMES = 2.0


def number(value: float, unit: str = "") -> str:
    """`12,345`, `12.35 EUR`, `2.4 %`."""
    small = abs(value) < 100 and value != round(value)
    text = f"{value:,.2f}" if unit not in ("", "%") and small else f"{value:,.1f}" if small else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def compared(fraction: float) -> str:
    """`18 % more than`, `3 times as much as`, `7 % less than`."""
    if fraction >= _TIMES:
        return f"{1 + fraction:.2g} times as much as"
    return f"{abs(fraction) * 100:.0f} % {'more' if fraction > 0 else 'less'} than"


def day(value: date) -> str:
    """`Tuesday 3 March`."""
    return f"{value:%A} {value.day} {value:%B}"


def span(days: int) -> str:
    """`the last 30 days`."""
    return "the last year" if days >= 365 else f"the last {days} days"

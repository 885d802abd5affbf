"""How values read: the same words in every output."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from corral.handlers.reports.document import Cell, Column, Figure, Kind

NOTHING = "–"
#: By number and not by locale: a report reads the same on every machine.
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
MINUS = "−"  # as wide as a plus, so that signed numbers stand under each other
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "KRW": "₩", "JPY": "¥"}
_WHOLE = {"JPY", "KRW", "VND", "CLP", "ISK"}  # currencies without a smaller coin
# Control characters, halves of surrogate pairs, and the marks that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066\u2067\ufffe\uffff]")
_SPACES = re.compile(r"[ \t\r\n\u2028\u2029]+")


def clean(text: str) -> str:
    """A text that can be shown: what no reader could see becomes the sign for a character that is not known."""
    return _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n"))


def line(text: str) -> str:
    """A text in one line."""
    return _SPACES.sub(" ", clean(text)).strip()


def apart(text: str) -> str:
    """A name to put into a sentence: one from right to left would else take the number after it along."""
    return text if text.isascii() else f"\u2068{text}\u2069"


def right_to_left(text: str) -> bool:
    """Whether a text begins in a script that is written from right to left."""
    if text.isascii():
        return False
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("R", "AL"):
            return True
        if direction == "L":
            return False
    return False


def show(value: Cell, kind: Kind = "text", unit: str = "") -> str:
    """A value in words."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return show_number(value, kind, unit)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}" if kind != "date" else f"{value:%Y-%m-%d}"
        case date():
            return value.isoformat()
    return line(value)


def places_of(cells: Iterable[Cell]) -> int:
    """How many places the numbers of a column have, at most two: as many in each row, so that points stand in line."""
    places = 0
    for cell in cells:
        if isinstance(cell, float) and abs(cell) < 1e15 and cell == cell:
            places = max(places, 0 if cell == int(cell) else 1 if round(cell, 1) == round(cell, 2) else 2)
    return places


def show_cell(value: Cell, column: Column, places: int | None = None) -> str:
    """A table's cell in words. `places` are those of the whole column."""
    if isinstance(value, float) and column.kind == "percent":
        return f"{value:.1f}%".replace("-", MINUS)
    if places and column.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        text = f"{value:,.{places}f}".replace("-", MINUS)
        return f"{text} {column.unit}" if column.unit else text
    return show(value, column.kind, column.unit)


def show_number(value: float, kind: Kind = "number", unit: str = "") -> str:
    """A number in words: thousands apart, no more places than say something."""
    if value != value or value in (float("inf"), float("-inf")):
        return NOTHING
    if kind == "seconds":
        return show_seconds(value)
    if kind == "money":
        return _money(value, unit)
    text = _places(value, 1 if kind == "percent" else 2)
    if kind == "percent":
        return f"{text}%"
    return f"{text}{'' if unit == '×' else ' '}{unit}" if unit else text


def show_seconds(value: float) -> str:
    """A duration: `0.4s`, `12s`, `5m 23s`, `1h 04m`."""
    sign, value = (MINUS, -value) if value < 0 else ("", value)
    if value < 9.95:
        return f"{sign}{_places(value, 1)}s"
    whole = round(value)
    if whole < 60:
        return f"{sign}{whole}s"
    if whole < 3_600:
        return f"{sign}{whole // 60}m {whole % 60:02}s"
    minutes = round(value / 60)
    if minutes < 1_440:
        return f"{sign}{minutes // 60}h {minutes % 60:02}m"
    hours = round(value / 3_600)
    return f"{sign}{hours // 24}d {hours % 24}h"


class Change(NamedTuple):
    """How a figure moved: in words, which way, and whether that is good."""

    text: str
    way: str  #: up, down or level
    tone: str  #: good, bad or calm


def change_of(figure: Figure) -> Change | None:
    """How a figure compares with the period before; None when there is nothing to compare."""
    value, before = figure.value, figure.before
    if before is None or value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    moved = value - before
    way = "up" if moved > 0 else "down"
    then = show_number(before, figure.kind, figure.unit)
    if then == show_number(value, figure.kind, figure.unit):  # what differs by less than is shown does not differ
        return Change(f"as before ({then})", "level", "calm")
    tone = "calm" if figure.better is None else "good" if figure.better == way else "bad"
    return Change(f"{_moved(figure, moved, before)} from {then}", way, tone)


def _moved(figure: Figure, moved: float, before: float) -> str:
    if figure.kind == "percent":
        return f"{signed(moved, 1)} points"
    # A share of a handful says less than the handful: "+1 from 2" and not "+50%".
    if abs(before) >= 20 or figure.kind in ("money", "seconds"):
        share = 100 * moved / abs(before) if before else 0.0
        if before and abs(share) < 1_000:
            return f"{signed(share, 0 if abs(share) >= 9.95 else 1)}%"
    if figure.kind in ("money", "seconds"):
        text = show_number(abs(moved), figure.kind, figure.unit)
        return f"{'+' if moved > 0 else MINUS}{text}"
    return signed(moved, 2)


def signed(value: float, places: int) -> str:
    """A number with its sign."""
    text = _places(abs(value), places)
    return f"{'+' if value > 0 else MINUS if value < 0 else '±'}{text}"


def _places(value: float, places: int) -> str:
    """Rounded, without noughts at the end, thousands apart."""
    if isinstance(value, int):
        text = f"{abs(value):,}"
    else:
        text = f"{abs(value):,.{places}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{MINUS}{text}" if value < 0 and text.strip("0.,") else text


def _money(value: float, unit: str) -> str:
    code = unit.upper()
    places = 0 if code in _WHOLE or abs(value) >= 100_000 else 2
    text = f"{abs(value):,.{places}f}"
    sign = MINUS if value < 0 else ""
    symbol = symbol_of(unit)
    if symbol:
        return f"{sign}{symbol}{text}"
    return f"{sign}{text} {unit}".rstrip()


def symbol_of(currency: str) -> str:
    """The sign of a currency: `$` for USD; empty when it has none that everybody knows."""
    return SYMBOLS.get(currency.upper(), currency if currency in SYMBOLS.values() else "")

"""Samples: for each template data that show all it can do. For looking at mails, and for tests."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Sample(NamedTuple):
    """What a mail could be about."""

    subject: str
    data: Mapping[str, object]


@cache
def samples() -> Mapping[str, Sample]:
    """A sample for each template that comes with corral, by its name."""
    text = (files("corral.handlers.email") / "samples.json").read_text(encoding="utf-8")
    return {name: Sample(**entry) for name, entry in json.loads(text).items()}

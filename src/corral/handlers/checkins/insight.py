"""Insights: what in the check-ins wants a person's attention, said in words. Plain functions; nothing is stored."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

from msgspec import Struct

from corral.handlers.checkins.settings import CheckinsSettings
from corral.handlers.checkins.trend import WEEK, Reply, low_run, mean, within

Kind = Literal["low-mood", "drop", "silence", "recovery", "goals-missed", "team-low-mood", "team-drop"]

#: The weeks that a week is compared with.
BASE_DAYS = 4 * WEEK
#: Days of check-ins that all of it needs.
NEEDED_DAYS = BASE_DAYS + WEEK
#: Goals reached below this share of those planned, in two weeks, are worth a word.
GOALS_SHARE = 0.5


class Finding(Struct, frozen=True, kw_only=True):
    """Something that wants attention. `subject` is a person's id, a team's, or "" for the whole organization."""

    kind: Kind
    subject: str
    day: date  #: the last day it was seen in
    text: str
    level: Literal["info", "warning"] = "warning"


def about_person(person: str, replies: Sequence[Reply], last: date, settings: CheckinsSettings) -> Iterator[Finding]:
    """What one person's check-ins say on `last`."""
    week, base = within(replies, last), within(replies, last - timedelta(WEEK), BASE_DAYS)
    mood, usual = mean(week), mean(base)
    least, low = settings.checkins_min_answers, settings.checkins_low_mood
    run = low_run(within(replies, last, NEEDED_DAYS), low)

    def found(kind: Kind, text: str, level: Literal["info", "warning"] = "warning") -> Finding:
        return Finding(kind=kind, subject=person, day=last, text=text, level=level)

    if mood is not None and (run >= least or (mood <= low and len(week) >= least)):
        said = f"the last {run} in a row are low" if run >= least else f"{_of(len(week), 'check-in')} in 7 days"
        yield found("low-mood", f"Mood is low: {mood:.1f} of 5 ({said}).")
    elif mood is not None and usual is not None and min(len(week), len(base)) >= least:
        if usual - mood >= settings.checkins_drop:
            yield found("drop", f"Mood fell to {mood:.1f} of 5; the four weeks before it was {usual:.1f}.")
        elif usual <= low and mood - usual >= settings.checkins_drop:
            yield found(
                "recovery", f"Mood is back at {mood:.1f} of 5, after {usual:.1f} in the four weeks before.", "info"
            )
    quiet = settings.checkins_silence_days
    if replies and not within(replies, last, quiet):
        used_to = within(replies, last - timedelta(quiet), BASE_DAYS)
        if len(used_to) > least:
            since = (last - max(reply.day for reply in used_to)).days
            yield found(
                "silence", f"No check-in for {_of(since, 'day')}, after {len(used_to)} in the four weeks before."
            )
    planned, done = _goals(within(replies, last, 2 * WEEK))
    if planned >= 2 * least and done < planned * GOALS_SHARE:
        yield found("goals-missed", f"{done} of {planned} goals were reached in two weeks.", "info")


def about_group(subject: str, replies: Sequence[Reply], last: date, settings: CheckinsSettings) -> Iterator[Finding]:
    """What a team's check-ins say together: nothing, unless so many answered that it is nobody's in particular."""
    week, base = within(replies, last), within(replies, last - timedelta(WEEK), BASE_DAYS)
    people = len({reply.person for reply in week})
    mood, usual = mean(week), mean(base)
    if people < settings.checkins_min_group or mood is None:
        return
    who = "The team's mood" if subject else "The mood in the organization"
    if mood <= settings.checkins_low_mood + 0.5:  # the mean of many is never as low as one person's can be
        text = f"{who} is low: {mood:.1f} of 5 from {_of(people, 'person', 'people')}."
        yield Finding(kind="team-low-mood", subject=subject, day=last, text=text)
    elif (
        usual is not None
        and len({reply.person for reply in base}) >= settings.checkins_min_group
        and usual - mood >= settings.checkins_drop / 2
    ):
        text = f"{who} fell to {mood:.1f} of 5; the four weeks before it was {usual:.1f}."
        yield Finding(kind="team-drop", subject=subject, day=last, text=text)


def about_all(
    replies: Sequence[Reply], last: date, settings: CheckinsSettings, *, group: str | None = None
) -> Iterator[Finding]:
    """What all check-ins say: about each person, each team, and the whole of them; `group` when that is one team."""
    people: dict[str, list[Reply]] = defaultdict(list)
    teams: dict[str, list[Reply]] = defaultdict(list)
    for reply in replies:
        people[reply.person].append(reply)
        if reply.team and group is None:
            teams[reply.team].append(reply)
    for person, theirs in sorted(people.items()):
        yield from about_person(person, theirs, last, settings)
    for team, theirs in sorted(teams.items()):
        yield from about_group(team, theirs, last, settings)
    yield from about_group(group or "", replies, last, settings)


def _goals(replies: Sequence[Reply]) -> tuple[int, int]:
    return sum(reply.planned for reply in replies), sum(min(reply.done, reply.planned) for reply in replies)


def _of(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"

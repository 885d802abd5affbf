"""Plan: from what is found now and what was known before to what has to be told. Pure: the time is an argument."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from corral.alert import Alert, AlertState
from corral.alerts.settings import AlertSettings
from corral.monitor.objects import Finding
from corral.monitor.rules import SEVERITIES
from corral.timing import Millis


class Alarm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one finding from round to round, by all processes together."""

    finding: Finding
    first_at: Millis  #: when it was seen first
    seen_at: Millis  #: when it was seen last
    told_at: Millis | None = None  #: when it was told last; None: not yet
    told: str = ""  #: the severity that was told
    pending: AlertState | None = None  #: decided, and not yet known to have been told


class Step(Struct, frozen=True):
    """One change: what to keep (None: nothing more), and what to tell."""

    key: str
    alarm: Alarm | None
    tell: AlertState | None = None


def key_of(finding: Finding) -> str:
    """The entry of a finding: names of queues and schedules may be longer than an entry's id."""
    return f"{finding.rule}-{sha256(finding.id.encode('utf-8', 'replace')).hexdigest()[:24]}"


def steps(
    found: Sequence[Finding], known: Mapping[str, Alarm], muted: frozenset[str], *, now: Millis, settings: AlertSettings
) -> Iterator[Step]:
    """What changes. Nobody hears of what is muted, of what is not bad enough, and of what has not lasted."""
    least = SEVERITIES.index(settings.severity)
    present = {key_of(one): one for one in found if SEVERITIES.index(one.severity) >= least and one.id not in muted}
    for key, finding in present.items():
        alarm = known.get(key)
        if alarm is None:
            alarm = Alarm(finding=finding, first_at=now, seen_at=now)
            yield _told(key, alarm, AlertState.OPENED, now) if settings.after_ms <= 0 else Step(key, alarm)
        else:
            yield from _going_on(key, replace(alarm, finding=finding, seen_at=now), alarm, now, settings)
    for key, alarm in known.items():
        if alarm.finding.id in muted:
            yield Step(key, None)  # nobody wants to hear of it, not even that it is over
        elif key not in present:
            yield from _gone(key, alarm, now, settings)


def _going_on(key: str, alarm: Alarm, before: Alarm, now: Millis, settings: AlertSettings) -> Iterator[Step]:
    if alarm.told_at is None:
        if now - alarm.first_at >= settings.after_ms:
            yield _told(key, alarm, AlertState.OPENED, now)
        elif now - before.seen_at >= settings.every_ms:
            yield Step(key, alarm)
    elif alarm.pending is AlertState.CLOSED:  # it came back before anybody heard that it was over
        yield _told(key, replace(alarm, pending=None), AlertState.REMINDED, now)
    elif alarm.pending is not None:
        yield Step(key, alarm, alarm.pending)
    elif SEVERITIES.index(alarm.finding.severity) > SEVERITIES.index(alarm.told):
        yield _told(key, alarm, AlertState.WORSE, now)
    elif settings.again_ms is not None and now - alarm.told_at >= settings.again_ms:
        yield _told(key, alarm, AlertState.REMINDED, now)
    elif now - before.seen_at >= settings.after_ms / 2:
        yield Step(key, alarm)


def _gone(key: str, alarm: Alarm, now: Millis, settings: AlertSettings) -> Iterator[Step]:
    if alarm.told_at is None:
        yield Step(key, None)
    elif alarm.pending is AlertState.CLOSED:
        yield Step(key, alarm, AlertState.CLOSED)
    elif now - alarm.seen_at >= settings.after_ms:
        yield _told(key, alarm, AlertState.CLOSED, now)


def _told(key: str, alarm: Alarm, state: AlertState, now: Millis) -> Step:
    return Step(key, replace(alarm, told_at=now, told=alarm.finding.severity, pending=state), state)


def alert_of(alarm: Alarm, state: AlertState) -> Alert:
    """What is told about an alarm. Its moment is when that was decided, so that a second attempt tells the same."""
    one, now = alarm.finding, alarm.told_at or alarm.seen_at
    return Alert(
        id=one.id, state=state, rule=one.rule, severity=one.severity, message=one.message, queue=one.queue,
        subject=one.subject, since=alarm.first_at if one.since is None else one.since, at=now, value=one.value,
        threshold=one.threshold, remedy=one.remedy,
    )  # fmt: skip

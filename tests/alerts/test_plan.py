"""When something is told: it begins, gets worse, lasts, is over; and when it is not."""

from collections.abc import Sequence

from corral.alert import AlertState
from corral.alerts.plan import Alarm, alert_of, key_of, steps
from corral.alerts.settings import AlertSettings
from corral.monitor.objects import Finding

OPENED, WORSE, REMINDED, CLOSED = AlertState
LATE = Finding(rule="oldest-waiting", severity="warning", message="late", queue="mail", value=90_000, threshold=60_000)
SETTINGS = AlertSettings(after_ms=30_000, again_ms=600_000, every_ms=10_000)


class Rounds:
    """Rounds of looking, with all that is kept between them."""

    def __init__(self, settings: AlertSettings = SETTINGS) -> None:
        self.settings = settings
        self.known: dict[str, Alarm] = {}
        self.muted: frozenset[str] = frozenset()

    def look(self, at: int, *found: Finding, heard: bool = True) -> list[AlertState]:
        told: list[AlertState] = []
        for step in list(steps(found, self.known, self.muted, now=at, settings=self.settings)):
            if step.alarm is None:
                self.known.pop(step.key, None)
            else:
                self.known[step.key] = step.alarm
            if step.tell is not None:
                told.append(step.tell)
                if heard:
                    self._heard(step.key, step.tell)
        return told

    def _heard(self, key: str, state: AlertState) -> None:
        alarm = self.known.pop(key)
        if state is not CLOSED:
            fields = {name: getattr(alarm, name) for name in alarm.__struct_fields__}
            self.known[key] = Alarm(**{**fields, "pending": None})


def test_what_lasts_is_told_once() -> None:
    rounds = Rounds()
    assert [rounds.look(at, LATE) for at in range(0, 60_000, 10_000)] == [[], [], [], [OPENED], [], []]


def test_what_is_over_soon_is_never_told() -> None:
    rounds = Rounds()
    assert [rounds.look(0, LATE), rounds.look(10_000, LATE), rounds.look(20_000)] == [[], [], []]
    assert not rounds.known


def test_with_no_time_to_last_it_is_told_at_once() -> None:
    assert Rounds(AlertSettings(after_ms=0)).look(0, LATE) == [OPENED]


def test_the_end_is_told_when_it_has_lasted_too() -> None:
    rounds = Rounds()
    for at in range(0, 40_000, 10_000):
        rounds.look(at, LATE)
    assert [rounds.look(at) for at in (40_000, 50_000, 60_000, 70_000)] == [[], [], [CLOSED], []]


def test_what_comes_and_goes_stays_one_alert() -> None:
    rounds = Rounds()
    for at in range(0, 40_000, 10_000):
        rounds.look(at, LATE)
    states: Sequence[tuple[Finding, ...]] = [(), (LATE,)] * 10
    assert [rounds.look(40_000 + 10_000 * n, *found) for n, found in enumerate(states)] == [[]] * 20


def test_what_gets_worse_is_told_again() -> None:
    rounds = Rounds(AlertSettings(after_ms=0))
    critical = Finding(rule="oldest-waiting", severity="critical", message="very late", queue="mail")
    assert [rounds.look(0, LATE), rounds.look(1, critical), rounds.look(2, critical), rounds.look(3, LATE)] == [
        [OPENED], [WORSE], [], [],
    ]  # fmt: skip


def test_what_goes_on_is_told_again_now_and_then() -> None:
    rounds = Rounds()
    told = [rounds.look(at, LATE) for at in range(0, 1_300_000, 10_000)]
    assert [number * 10_000 for number, one in enumerate(told) if one == [REMINDED]] == [630_000, 1_230_000]


def test_reminders_can_be_turned_off() -> None:
    rounds = Rounds(AlertSettings(after_ms=0, again_ms=None))
    assert [rounds.look(at, LATE) for at in (0, 10**9)] == [[OPENED], []]


def test_what_is_not_bad_enough_is_left_out() -> None:
    assert Rounds(AlertSettings(after_ms=0, severity="critical")).look(0, LATE) == []


def test_nobody_hears_of_what_is_muted_not_even_that_it_is_over() -> None:
    rounds = Rounds(AlertSettings(after_ms=0))
    rounds.look(0, LATE)
    rounds.muted = frozenset({LATE.id})
    assert [rounds.look(1, LATE), rounds.look(10**6)] == [[], []]
    assert not rounds.known


def test_what_was_not_heard_is_told_again_with_the_same_moment() -> None:
    rounds = Rounds(AlertSettings(after_ms=0))
    assert rounds.look(5, LATE, heard=False) == [OPENED]
    first = alert_of(rounds.known[key_of(LATE)], OPENED)
    assert rounds.look(99, LATE, heard=False) == [OPENED]
    assert alert_of(rounds.known[key_of(LATE)], OPENED) == first
    assert rounds.look(100, LATE) == [OPENED]
    assert rounds.look(101, LATE) == []


def test_an_end_that_was_not_heard_is_told_again() -> None:
    rounds = Rounds(AlertSettings(after_ms=0))
    rounds.look(0, LATE)
    assert [rounds.look(1, heard=False), rounds.look(2, heard=False), rounds.look(3), rounds.look(4)] == [
        [CLOSED], [CLOSED], [CLOSED], [],
    ]  # fmt: skip


def test_what_comes_back_before_its_end_was_heard_is_a_reminder() -> None:
    rounds = Rounds(AlertSettings(after_ms=0))
    rounds.look(0, LATE)
    rounds.look(1, heard=False)
    assert [rounds.look(2, LATE), rounds.look(3, LATE)] == [[REMINDED], []]


def test_names_however_long_make_an_entry() -> None:
    long = Finding(rule="waiting", severity="warning", message="m", queue="q" * 500, subject="\ud800")
    assert len(key_of(long)) < 60
    assert key_of(long) != key_of(LATE)

"""What people say about limits, windows, holds and groups, as steps of the machine."""

from abc import abstractmethod

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from corral.job import NewJob
from corral.options import GroupChange, GroupLimits, Hold, QueueSettings, RateLimit
from corral.storage.port import QueueInfo, Storage
from corral.timing import Millis

from .bench import Bench
from .model import Model

WINDOWS = st.sampled_from(
    ((), (RateLimit(1, per=1),), (RateLimit(2, per=2),), (RateLimit(2, per=1), RateLimit(3, per=8)))
)
NAMES = st.sampled_from(("x", "y"))
GROUPS = st.sampled_from(("a", "a", "b", "c"))
NAME_LIMITS = st.dictionaries(NAMES, st.sampled_from(((RateLimit(1, per=2),), (RateLimit(2, per=1),))), max_size=2)
GROUP_LIMITS = st.one_of(
    st.none(),
    st.builds(GroupLimits, concurrency=st.sampled_from((1, 2))),
    st.builds(GroupLimits, rate_limits=WINDOWS),
    st.builds(GroupLimits, max_size=st.sampled_from((1, 3))),
    st.builds(GroupLimits, concurrency=st.just(2), rate_limits=WINDOWS, max_size=st.just(4)),
)
HOLDS = st.one_of(st.none(), st.builds(Hold, for_ms=st.sampled_from((1, 1, 60, 800)), probe=st.booleans()))
CHANGES = st.one_of(
    st.builds(GroupChange, limits=GROUP_LIMITS),
    st.builds(GroupChange, paused=st.booleans()),
    st.builds(GroupChange, hold=HOLDS),
)
SETTINGS = st.one_of(
    st.builds(QueueSettings, more_limits=WINDOWS),
    st.builds(QueueSettings, name_limits=NAME_LIMITS),
    st.builds(QueueSettings, hold=HOLDS),
)


class GroupRules(RuleBasedStateMachine):
    """Steps that change what may start."""

    bench: Bench  #: set by a subclass, because the tool makes the machines itself
    storage: Storage
    model: Model
    queue: str
    now: Millis

    @abstractmethod
    def check(self) -> None:
        """Compare store and model."""

    @abstractmethod
    def add(self, jobs: list[NewJob]) -> None:
        """Add to both."""

    @abstractmethod
    def claim(self, size: int) -> None:
        """Claim from both."""

    def change(self, settings: QueueSettings) -> QueueInfo:
        """Configure both."""
        info = self.bench.do(self.storage.configure(self.queue, settings, now=self.now))
        self.model.configure(settings, self.now)
        self.check()
        return info

    @rule(limits=GROUP_LIMITS)
    def limit_groups(self, limits: GroupLimits | None) -> None:
        assert self.change(QueueSettings(group_limits=limits)).group_limits == limits

    @rule(group=GROUPS, change=CHANGES)
    def change_group(self, group: str, change: GroupChange) -> None:
        self.change(QueueSettings(groups={group: change}))

    @rule(settings=SETTINGS)
    def limit_the_queue(self, settings: QueueSettings) -> None:
        info = self.change(settings)
        model = self.model
        assert (info.more_limits, info.name_limits) == (model.more_limits, model.name_limits)
        assert (info.held_until, info.hold_reason, info.probing) == model.held.seen

    @rule(size=st.integers(1, 3), priority=st.sampled_from((0, 0, 10)))
    def take_turns(self, size: int, priority: int) -> None:
        """Several groups with several jobs each, and claims that have to go on where the last one stopped."""
        self.add([NewJob(queue="", name="y", group=group, priority=priority) for group in "aabb"])
        for _ in range(2):
            self.claim(size)

    @rule(group=GROUPS)
    def begin_carefully(self, group: str) -> None:
        """A hold that is over soon, and then one job at once."""
        self.change(QueueSettings(groups={group: GroupChange(hold=Hold(for_ms=1, probe=True))}))
        self.take_turns(3, 0)

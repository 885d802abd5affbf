"""What people say about limits, windows, holds and groups, as steps of the machine."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from corral.options import GroupChange, GroupLimits, Hold, QueueSettings, RateLimit
from corral.storage.port import QueueInfo, Storage
from corral.timing import Millis

from .bench import Bench
from .model import Model

WINDOWS = st.sampled_from(((), (RateLimit(2, per=1.5),), (RateLimit(3, per=2), RateLimit(4, per=8))))
NAMES = st.sampled_from(("x", "y"))
GROUPS = st.sampled_from(("a", "b", "c"))
NAME_LIMITS = st.dictionaries(NAMES, st.sampled_from(((RateLimit(1, per=2),), (RateLimit(2, per=1),))), max_size=2)
GROUP_LIMITS = st.one_of(
    st.none(),
    st.builds(
        GroupLimits,
        concurrency=st.sampled_from((None, None, 1, 2)),
        rate_limits=WINDOWS,
        max_size=st.sampled_from((None, None, 2, 4)),
    ),
)
HOLDS = st.one_of(st.none(), st.builds(Hold, for_ms=st.sampled_from((1, 500, 3_000)), probe=st.booleans()))


class GroupRules(RuleBasedStateMachine):
    """Steps that change what may start."""

    bench: Bench  #: set by a subclass, because the tool makes the machines itself
    storage: Storage
    model: Model
    queue: str
    now: Millis

    def check(self) -> None:
        """Compare store and model."""
        raise NotImplementedError

    def change(self, settings: QueueSettings) -> QueueInfo:
        """Configure both."""
        info = self.bench.do(self.storage.configure(self.queue, settings, now=self.now))
        self.model.configure(settings, self.now)
        self.check()
        return info

    @rule(limits=GROUP_LIMITS)
    def limit_groups(self, limits: GroupLimits | None) -> None:
        assert self.change(QueueSettings(group_limits=limits)).group_limits == limits

    @rule(group=GROUPS, limits=GROUP_LIMITS)
    def limit_one_group(self, group: str, limits: GroupLimits | None) -> None:
        self.change(QueueSettings(groups={group: GroupChange(limits=limits)}))

    @rule(group=GROUPS, paused=st.booleans())
    def pause_group(self, group: str, paused: bool) -> None:
        self.change(QueueSettings(groups={group: GroupChange(paused=paused)}))

    @rule(group=GROUPS, hold=HOLDS)
    def hold_group(self, group: str, hold: Hold | None) -> None:
        self.change(QueueSettings(groups={group: GroupChange(hold=hold)}))

    @rule(hold=HOLDS)
    def hold_queue(self, hold: Hold | None) -> None:
        info = self.change(QueueSettings(hold=hold))
        assert (info.held_until, info.hold_reason, info.probing) == self.model.held.seen

    @rule(limits=WINDOWS)
    def limit_further(self, limits: tuple[RateLimit, ...]) -> None:
        assert self.change(QueueSettings(more_limits=limits)).more_limits == limits

    @rule(limits=NAME_LIMITS)
    def limit_names(self, limits: dict[str, tuple[RateLimit, ...]]) -> None:
        assert self.change(QueueSettings(name_limits=limits)).name_limits == limits

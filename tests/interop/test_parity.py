"""The table of names against BullMQ itself: every public method of its classes is in it, or is nobody's business."""

import re
from pathlib import Path

import pytest

from tests.unit.parity import TABLE, words

CLASSES = Path(__file__).parent / "node_modules" / "bullmq" / "dist" / "esm" / "classes"

#: What is there for the library's own use, for JavaScript, or kept for old names.
INTERNAL = frozenset(
    """
    constructor on once off emit removeListener close disconnect waitUntilReady run isRunning processJob
    startStalledCheckTimer extendJobLocks addJob addJobs toJSON asJSON asJSONSandbox toFlowEntry optsFromJSON fromJSON
    fromId moveToFailed getBackend getNode getChildren jobOpts sanitizeJobName qualifiedName get set count addNode
    addChildren addNodes create createBulk removeDebounceKey getDebounceJobId removeDeprecatedPriorityKey isJobScheduler
    getSchedulersCount getScheduler repeat createDelayedJob getTemplateFromJSON getNextMillis
    """.split()
)
#: One row stands for all of a kind: `queue.page(state)`, `queue.counts()`, `(await handle.get()).state`.
FAMILIES = re.compile(
    r"(get|is)(Waiting|Active|Delayed|Completed|Failed|Prioritized|WaitingChildren)(Count)?|getJobState|delay"
)


def methods(name: str) -> set[str]:
    """The public methods that a class declares."""
    text = (CLASSES / f"{name}.d.ts").read_text(encoding="utf-8")
    found = re.findall(r"^    (?:static )?(?:async )?([a-zA-Z]+)(?:<[^>]*>)?\(", text, re.MULTILINE)
    return set(found)


@pytest.mark.parametrize(
    "name",
    [
        "queue",
        "queue-getters",
        "job",
        "worker",
        "flow-producer",
        "queue-events",
        "queue-events-producer",
        "job-scheduler",
    ],
)
@pytest.mark.usefixtures("node_program")  # it puts the library there
def test_every_method_of_bullmq_is_in_the_table(name: str) -> None:
    known = {word for rows in TABLE.values() for row in rows for word in words(row)}
    missing = {one for one in methods(name) - known - INTERNAL if not FAMILIES.fullmatch(one)}
    assert missing == set()

"""Testing an application's jobs: one handler alone, or the whole application on a store in memory, without waiting.

    from corral.testing import app_in_memory, assert_added, drain, run_job

`run_job` calls one handler as a worker would, without any store. `app_in_memory` lends an application an empty store
for the length of a block; inside it `assert_added` says what was enqueued and `drain` runs everything, delayed jobs and
retries included, by moving a `FakeClock` instead of sleeping. None of this needs pytest; `docs/testing.md` shows how
the two go together.
"""

from corral.testing.added import Match, added, assert_added
from corral.testing.app import app_in_memory, fire_schedules
from corral.testing.batch import Verdict, run_batch
from corral.testing.clock import FakeClock
from corral.testing.drain import Drained, drain
from corral.testing.handler import Recorded, run_job

__all__ = [
    "Drained",
    "FakeClock",
    "Match",
    "Recorded",
    "Verdict",
    "added",
    "app_in_memory",
    "assert_added",
    "drain",
    "fire_schedules",
    "run_batch",
    "run_job",
]

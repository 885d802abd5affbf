"""What becomes of a job when a model does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

from corral.handlers.kit.web import AuthError, BlockedAddressError, BusyError, RefusedError, TooLargeError
from corral.signals import Discard, Retry
from corral.worker.context import JobContext


@contextmanager
def steered(ctx: JobContext) -> Iterator[None]:
    """Turn what the other side says into what the job does: end, wait, or (everything else) try again.

    Raises:
        Discard: a key that is not accepted, or a question that never will be. Retry: too many requests.
    """
    try:
        yield
    except AuthError as error:
        raise Discard(f"{error}; check AI_API_KEY") from None
    except (RefusedError, BlockedAddressError, TooLargeError) as error:
        raise Discard(str(error)) from None
    except BusyError as error:
        if ctx.job.group is not None:  # only who has used up its share rests, and no attempt is used up
            raise Retry(str(error), after=error.after, pause="group") from None
        raise Retry(str(error), after=error.after) from None

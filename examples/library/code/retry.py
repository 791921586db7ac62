"""Call something that may fail, again, with longer and longer pauses."""

import random
import time


class GaveUp(Exception):
    """Every attempt failed."""


def pause_before(attempt, first=0.5, longest=30.0):
    """Seconds to wait before an attempt: doubled each time, up to a limit, with some chance
    so that many clients do not come back at the same moment."""
    return random.uniform(0.5, 1.0) * min(longest, first * 2**attempt)


def call_with_retries(action, attempts=5, sleep=time.sleep):
    """Run an action until it succeeds, at most a number of times."""
    for attempt in range(attempts):
        try:
            return action()
        except OSError:
            sleep(pause_before(attempt))
    raise GaveUp(f"{attempts} attempts failed")

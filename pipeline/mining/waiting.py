"""What a worker waited for between two shards.

Each shard carries the time at which the stage before was done with it. So when a worker begins with a shard, the time
since it was done with its last one falls into two parts: until the shard was ready, the worker waited for input; the
rest is the hand-over, which is what Ray takes to move shards, and what it holds back while the stages behind are full.
Clocks of two machines may differ by some milliseconds; no part is ever negative, or longer than both together.
"""

import time

INPUT, HAND_OVER, STORAGE = "input", "hand_over", "storage"
"""What workers wait for, as `statistics/` names it. Storage: while files are read, within the seconds of the stage."""


def split(ended: float, ready: float, began: float) -> dict[str, float]:
    """Seconds between two shards, by what the worker waited for.

    Args:
        ended: when the worker was done with its last shard; all three are seconds since the same moment.
        ready: when the stage before was done with the next one.
        began: when the worker began with it.
    """
    gap = max(0.0, began - ended)
    waited = min(gap, max(0.0, ready - ended))
    return {INPUT: waited, HAND_OVER: gap - waited}


class Turns:
    """The shards of one worker, one after the other."""

    def __init__(self) -> None:
        self._ended: float | None = None

    def begin(self, ready: float | None) -> dict[str, float]:
        """The worker begins with a shard now: see `split`. Empty for its first one: until then, models are loaded.

        Args:
            ready: `time.time()` when the stage before was done with it.
        """
        if self._ended is None or ready is None:
            return {}
        return split(self._ended, ready, time.time())

    def end(self) -> float:
        """The worker is done with the shard now; returns `time.time()`."""
        self._ended = time.time()
        return self._ended

"""Ending a worker that hangs.

Ray starts a dead worker again and repeats its shard; one that hangs keeps both endlessly. So a stage says whenever it
begins with an image, and a worker that stays at one far longer than its peers did ends itself. What it hangs in goes to
its log. The next attempts note their images (`attempts`), and an image at which workers hang every time is rejected.
"""

import faulthandler
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.storage.documents import DamagedFileError, read_json

_LOOK_SECONDS = 15.0
_FILE = "seconds_per_image.json"


class Watchdog:
    """Ends this process when `announce` was not called for too long. Use as a context manager; one at a time.

    It ends also while the interpreter is stuck in foreign code: the timer is faulthandler's, which needs no Python.
    """

    def __init__(self, limit: Callable[[], float]):
        """
        Args:
            limit: seconds; asked again from time to time, since it may become less.
        """
        self._limit = limit
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._lock = threading.Lock()

    def __enter__(self) -> "Watchdog":
        self.announce()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._done.set()
            faulthandler.cancel_dump_traceback_later()
        self._thread.join()

    def announce(self) -> None:
        """Say that work goes on."""
        self._since = time.monotonic()
        self._arm()

    def _arm(self) -> None:
        seconds = self._limit()
        with self._lock:
            if not self._done.is_set() and seconds != float("inf"):
                left = self._since + seconds - time.monotonic()
                faulthandler.dump_traceback_later(max(left, 0.001), exit=True)

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self._arm()


class StragglerLimit:
    """How long a stage may stay at an image, from how long its peers took."""

    def __init__(self, layout: Layout, factor: float, least: float, look_seconds: float = _LOOK_SECONDS):
        """
        Args:
            factor: times the seconds per image of finished shards; 0 means without limit.
            least: seconds that are always allowed. Until a shard is finished, `factor` times as many.
            look_seconds: what was read holds for so long.
        """
        self._look_seconds = look_seconds
        self._uri = layout.path("attempts", _FILE)
        self._factor, self._least = factor, least
        self._read_at = time.monotonic()
        self._seconds: dict[str, float] = {}

    def seconds(self, stage: str) -> float:
        """Seconds, infinite if stages may hang.

        Reads what `write_seconds_per_image` wrote, but not often, and never at first: most stages are done with their
        shard before.
        """
        if not self._factor:
            return float("inf")
        if time.monotonic() - self._read_at >= self._look_seconds:
            self._read_at = time.monotonic()
            try:
                found = read_json(self._uri)
            except (FileNotFoundError, DamagedFileError):
                found = {}
            self._seconds = {stage: seconds for stage, seconds in found.items() if type(seconds) in (int, float)}
        if stage not in self._seconds:
            return self._factor * self._least
        return max(self._least, self._factor * self._seconds[stage])


def write_seconds_per_image(layout: Layout, finished: Sequence[Mapping]) -> None:
    """Tell all workers how long finished shards took.

    Args:
        finished: the statistics of shards: `images`, and `seconds` by stage.
    """
    stages = {stage for shard in finished for stage in shard["seconds"]}
    seconds = {
        stage: median(
            shard["seconds"][stage] / max(1, shard["images"]) for shard in finished if stage in shard["seconds"]
        )
        for stage in stages
    }
    storage.write_bytes(layout.path("attempts", _FILE), json.dumps(seconds, sort_keys=True).encode())

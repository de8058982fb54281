"""The line that tells how far the job is, on a terminal and in a job's log."""

import sys

from tqdm import tqdm


class Progress:
    """A tqdm bar; in a log, where there is no terminal, one line every ten seconds."""

    def __init__(self, name: str, total: int, unit: str, *, initial: int = 0):
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=name,
            total=total,
            initial=initial,
            unit=f" {unit}",
            mininterval=0.1 if terminal else 10.0,
            dynamic_ncols=terminal,
        )
        self.shards = 0
        self._regions = 0

    def advance(self, done: int) -> None:
        """Count so many more units as done."""
        self._bar.update(done)

    def shard(self, statistics: dict, rejected: int) -> None:
        """One more committed shard."""
        self.shards += 1
        self._regions += statistics["regions"]
        seconds = max(self._bar.format_dict["elapsed"], 1e-9)
        self._bar.set_postfix_str(
            f"{self.shards} shards, {self._regions / seconds:.1f} regions/s, {rejected} rejected",
            refresh=False,
        )
        self._bar.update(statistics["images"])

    def close(self) -> None:
        """Leave the line as it stands."""
        self._bar.close()

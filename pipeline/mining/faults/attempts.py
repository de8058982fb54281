"""Finding the image that kills its worker.

Ray starts a dead worker again and gives it the same shard, endlessly. So before a stage works on a shard it leaves
a record in the output directory, and takes it away when it is done. A record that is already there says that the
last attempt of this run died: from then on the stage notes every image before work on it. An image that was
announced at `DEATHS` such deaths is rejected with the reason `kills_worker`; its neighbours survive. Images that
were announced together are in doubt from then on, and are worked on one by one.

Deaths of the whole job (another `run`) are nobody's fault and are not counted, and an attempt that dies without
having noted an image blames none.
"""

import json

from pipeline import storage
from pipeline.dataset.layout import Layout, stem
from pipeline.images import ImageProblem
from pipeline.storage.documents import DamagedFileError, read_json

DEATHS = 3


class Attempt:
    """One attempt of a stage at a shard. A context manager; call `announce` before work on an image or several."""

    def __init__(self, layout: Layout, run: str, stage: str, shard: int):
        self._uri = layout.path("attempts", f"{stem(shard)}.{stage}.json")
        self._run = run
        self._deaths: dict[int, int] = {}
        self.last_one_died = False
        """Whether a worker died in the attempt before this one: then the image that did it is looked for."""

    def __enter__(self) -> "Attempt":
        if (previous := self._read()) is not None:
            self.last_one_died = True
            self._deaths = {int(image): deaths for image, deaths in previous["deaths"].items()}
            for image in previous["images"]:
                self._deaths[image] = self._deaths.get(image, 0) + 1
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        # An exception is a result, too: only a death leaves the record behind.
        storage.remove(self._uri)

    def announce(self, *images: int) -> None:
        """Announce work on an image of the shard, or on several together.

        Raises:
            ImageProblem: `kills_worker`, if workers died of it; `in_doubt`, if they may have died of one of several.
        """
        for image in images:
            deaths = self._deaths.get(image, 0)
            if deaths and len(images) > 1:
                raise ImageProblem("in_doubt", f"workers may have died of image {image}")
            if deaths >= DEATHS:
                raise ImageProblem("kills_worker", f"{deaths} workers died while working on it")
        if self.last_one_died:
            self._write(*images)

    def _read(self) -> dict | None:
        """The record of an attempt of this run that died. Others' records, and what is none, say nothing."""
        try:
            record = read_json(self._uri)
        except (FileNotFoundError, DamagedFileError):
            return None
        return record if record.get("run") == self._run else None

    def _write(self, *images: int) -> None:
        record = {"run": self._run, "images": images, "deaths": self._deaths}
        storage.write_bytes(self._uri, json.dumps(record).encode())

"""Photographs and the regions proposed in them: what the measured steps are given, the same for both versions."""

import json
import pickle
import sys
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.feed.versions import report

IMAGES = 24


class Photograph(NamedTuple):
    """A JPEG and its proposals, as bytes that any version reads."""

    jpeg: bytes
    codes: list[bytes]
    """COCO's run-length codes of the masks."""
    height: int
    width: int


def read(file: str) -> list[Photograph]:
    """What `main` wrote."""
    return [Photograph(*values) for values in pickle.loads(Path(file).read_bytes())]


def main(file: str, coco: str = "") -> None:
    """Propose `segments` regions in 24 photographs, or in drawn images where there are none, and write them down."""
    from pipeline.images import ImagesConfig, decode_jpeg, read_upright
    from pipeline.proposals import ProposalsConfig, load_proposer
    from tests.benchmarks.regions import make_images

    if coco:
        names = sorted(image["file_name"] for image in json.loads(_captions(coco).read_text())["images"])
        files = [(Path(coco) / "images" / name).read_bytes() for name in names[:IMAGES]]
        jpegs = [read_upright(data, ImagesConfig()).data for data in files]
    else:
        jpegs = [jpeg for jpeg, _ in make_images(IMAGES, proposals=0)]
    proposer = load_proposer(ProposalsConfig())
    photographs = []
    for jpeg in jpegs:
        pixels = decode_jpeg(jpeg)
        [proposals] = proposer.propose([pixels], [""])
        photographs.append((jpeg, [bytes(code) for code in proposals.masks], *pixels.shape[:2]))
    Path(file).write_bytes(pickle.dumps(photographs))
    report({"images": len(photographs), "regions": sum(len(codes) for _, codes, *_ in photographs)})


def _captions(coco: str) -> Path:
    return Path(coco) / "annotations" / "captions.json"


if __name__ == "__main__":
    main(*sys.argv[1:])

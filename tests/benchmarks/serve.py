"""The server against the bare models.

python -m tests.benchmarks.serve [--architecture ViT-B-32] [--images 4] [--classes 20] [--clients 16] [--requests 32]

Both run on the same images, 640×480, in turn, with one thread. Alone: `Segmenter.predict` on one image after the
other, against one request after the other, from JPEG bytes to the whole answer; the server may take 1.10 of the time.
Together: `Segmenter.predict` on as many images at once as there are requests, against as many clients at a time; the
server has to reach 0.90 of the images per second. Class names are embedded before.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from jobs.ray_connection import connect
from pipeline.clip import ClipConfig
from pipeline.images import decode_jpeg
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.loading import load_segmenter
from pipeline.serving.config import ServeConfig, ServerConfig
from pipeline.serving.run import running
from tests.benchmarks.regions import make_images

_ROUNDS = 3


def main() -> None:
    """Print the times of both, in three rounds, and the median ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=32)
    options = parser.parse_args()
    jpegs = [jpeg for jpeg, _ in make_images(options.images, proposals=0)]
    names = [f"class {number}" for number in range(options.classes)]
    config = ServerConfig(
        clip=ClipConfig(architecture=options.architecture, weights="random"),
        segmentation=SegmentationConfig(templates="none"),
        serve=ServeConfig(classes=", ".join(names), timeout_seconds=3600, queue=options.clients),
    )
    connect()
    with running(config) as url:
        segmenter = load_segmenter(config, [(name,) for name in names], gpu=False)

        def bare(data: Sequence[bytes]) -> None:
            images = [(decode_jpeg(jpeg), str(number), None) for number, jpeg in enumerate(data)]
            for _ in segmenter.predict(images):
                pass

        def ask(jpeg: bytes) -> dict:
            response = requests.post(f"{url}api/segment", files={"image": jpeg}, data={"classes": config.serve.classes})
            response.raise_for_status()
            return response.json()["timing"]

        def together() -> list[dict]:
            with ThreadPoolExecutor(options.clients) as clients:
                return list(clients.map(ask, many))

        many = [jpegs[number % len(jpegs)] for number in range(options.requests)]
        for jpeg in jpegs:  # what is loaded at the first use
            bare([jpeg])
            ask(jpeg)
        print(f"{options.architecture}, one thread, {options.images} images, {options.classes} classes")
        alone, batched = [], []
        for _ in range(_ROUNDS):
            seconds = [
                _seconds(lambda: [bare([jpeg]) for jpeg in jpegs]),
                _seconds(lambda: [ask(jpeg) for jpeg in jpegs]),
            ]
            alone.append(seconds[1] / seconds[0])
            print(
                f"alone: bare {seconds[0] / len(jpegs):.2f} s/image, server {seconds[1] / len(jpegs):.2f}, "
                f"{alone[-1]:.3f} of the time",
                flush=True,
            )
        for _ in range(_ROUNDS):
            timings: list[dict] = []
            seconds = [_seconds(lambda: bare(many)), _seconds(lambda: timings.extend(together()))]  # noqa: B023
            batched.append(seconds[0] / seconds[1])
            size = sum(timing["batch"] for timing in timings) / len(timings)
            print(
                f"together: bare {len(many) / seconds[0]:.2f} images/s, server {len(many) / seconds[1]:.2f} with "
                f"{size:.1f} images a batch, ratio {batched[-1]:.3f}",
                flush=True,
            )
    print(f"median: {sorted(alone)[1]:.3f} of the bare time alone (target 1.10), ", end="")
    print(f"{sorted(batched)[1]:.3f} of its images/s with {options.clients} clients (target 0.90)")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

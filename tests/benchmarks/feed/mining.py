"""The whole of `jobs.mine` on two cores: images a second between its start and its end, and their CPU time."""

import json
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil

from pipeline.microworld.clip import write_untrained_clip
from tests.benchmarks.feed.versions import report
from tests.benchmarks.steady import per_second

OLD = find_spec("pipeline.soft_masks") is not None
_IMAGES_PER_SHARD = 12


def mine(folder: Path, captions: Path, images: Path, *options: str) -> list[tuple[float, float]]:
    """Run the job as a user does, into `folder`, and watch it.

    Returns:
        time by the clock, and CPU seconds of all its processes until then, four times a second.
    """
    # fmt: off
    command = [
        sys.executable, "-m", "jobs.mine", "--captions.format", "coco", "--captions.path", str(captions),
        "--captions.images", str(images), "--output", str(folder), "--resources.clip_workers", "1",
        "--shards.images_per_shard", str(_IMAGES_PER_SHARD), *options,
    ]
    # fmt: on
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    seconds: dict[int, float] = {}
    watched = []
    with open(folder.with_suffix(".log"), "w+") as log:
        job = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        while job.poll() is None:
            for process in (job, *job.children(recursive=True)):
                try:
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                seconds[process.pid] = times.user + times.system
            watched.append((time.time(), sum(seconds.values())))
            time.sleep(0.25)
        if job.returncode:
            log.seek(0)
            raise RuntimeError(log.read()[-4000:])
    return watched


def small_clip(folder: Path) -> list[str]:
    """Options for a CLIP that costs next to nothing."""
    write_untrained_clip(folder)
    return ["--clip.architecture", f"local-dir:{folder}", "--clip.weights", "null"]


def mine_annotated(folder: Path, coco: Path) -> None:
    """Mine a COCO dataset with its annotations as proposals."""
    annotations = coco / "annotations"
    option = "--proposals.ground_truth.annotations" if OLD else "--proposals.options.annotations"
    proposals = ["--proposals.backend", "ground_truth", option, str(annotations / "instances.json")]
    clip = small_clip(folder.with_name(folder.name + "-clip"))
    # An image without annotations is a rejected one.
    mine(folder, annotations / "captions.json", coco / "images", *proposals, *clip, "--max_reject_fraction", "1")


def repeat(coco: Path, folder: Path, images: int) -> tuple[Path, Path]:
    """Captions and images of a COCO dataset as often as it takes to have so many; the files are links.

    Returns:
        the captions, and the folder of the images.
    """
    document = json.loads((coco / "annotations" / "captions.json").read_text())
    document.pop("licenses", None)
    texts: dict[int, list[dict]] = {}
    for annotation in document["annotations"]:
        texts.setdefault(annotation["image_id"], []).append(annotation)
    listed, annotations = [], []
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        image = document["images"][number % len(document["images"])]
        name = f"{number:06d}-{image['file_name']}"
        (folder / "images" / name).symlink_to((coco / "images" / image["file_name"]).resolve())
        listed.append({**image, "id": number + 1, "file_name": name})
        annotations += [
            {**text, "id": len(annotations) + index, "image_id": number + 1}
            for index, text in enumerate(texts[image["id"]])
        ]
    captions = folder / "captions.json"
    captions.write_text(json.dumps({**document, "images": listed, "annotations": annotations}))
    return captions, folder / "images"


def steady(folder: Path, watched: list[tuple[float, float]]) -> dict[str, float]:
    """Images a second and CPU-milliseconds an image, from when a fifth of the shards is committed to the last one."""
    ended = sorted(path.stat().st_mtime for path in (folder / "manifests").iterdir())
    first = len(ended) // 5
    at_first, at_last = (min(cpu for when, cpu in watched if when >= moment) for moment in (ended[first], ended[-1]))
    images = (len(ended) - 1 - first) * _IMAGES_PER_SHARD
    return {
        "images_per_second": per_second(ended, _IMAGES_PER_SHARD),
        "cpu_ms_per_image": (at_last - at_first) / images * 1e3,
    }


def main(folder: str, coco: str, images: str, architecture: str = "") -> None:
    """Mine a COCO dataset, or drawn scenes where there is none, with `segments`; random weights if a CLIP is named."""
    own = Path(folder)
    shutil.rmtree(own, ignore_errors=True)
    if coco:
        captions, pictures = repeat(Path(coco), own / "source", int(images))
    else:
        from pipeline.microworld.world import write_world

        write_world(own / "source", int(images))
        captions, pictures = own / "source" / "captions.json", own / "source" / "images"
    clip = small_clip(own / "clip")
    if architecture:
        clip = ["--clip.architecture", architecture, "--clip.weights", "random"]
    watched = mine(own / "mined", captions, pictures, *clip)
    report(steady(own / "mined", watched))


if __name__ == "__main__":
    main(*sys.argv[1:])

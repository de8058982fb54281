"""What an operator watches: figures of running jobs in the Prometheus endpoint that Ray has on every node.

They appear there as `ray_ovseg_…`, counters with `_total` at the end. All have the tag `output`, the job's output
directory. (Not `job`: Prometheus keeps that for itself.) Ray takes ASCII alone in tags: other characters are written as
in addresses, `b%C3%BCcher`. A figure that cannot be told is lost, and the job goes on. Workers send what they counted
every ten seconds; what one counted just before it was killed may be missing, so files in the output directory are the
truth and these are not.
`cluster/grafana.json` shows them.
"""

import functools
import logging
import string
from collections.abc import Callable, Mapping
from typing import ParamSpec
from urllib.parse import quote

import ray
from ray.util.metrics import Counter, Gauge, Histogram

_Arguments = ParamSpec("_Arguments")
_TAG_CHARACTERS = string.digits + string.ascii_letters + string.punctuation + " "

_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "images": ("Images of committed shards; images segmented or evaluated.", ()),
    "regions": ("Mask proposals of committed shards.", ()),
    "pairs": ("Region-noun pairs of committed shards.", ()),
    "rejects": ("Images of committed shards that gave nothing.", ("stage", "reason")),
    "shards": ("Shards committed.", ()),
    "failures": ("Shards, or groups of images, that failed in a stage.", ("stage",)),
    "gpu_busy_seconds": ("Seconds of work of the workers that hold GPUs, times the GPUs that each holds.", ("stage",)),
    "waiting_seconds": (
        "Seconds that workers of mining waited between two shards, for `input` or to `hand_over`; in reading, for "
        "`storage`.",
        ("stage", "reason"),
    ),
    "training_steps": ("Optimisation steps.", ("stage",)),
    "training_samples": ("Samples that the steps learnt from, over all workers.", ("stage",)),
}
"""Name: description, and tags besides `output`."""


def _never_ends_a_job(tell: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    @functools.wraps(tell)
    def told(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception:
            logging.getLogger(__name__).debug("a figure of %s is lost", tell.__name__, exc_info=True)

    return told


@_never_ends_a_job
def shard_committed(output: str, images: int, regions: int, pairs: int, rejected: Mapping[str, int]) -> None:
    """A shard is part of the dataset now; `rejected` counts images by `stage: reason`."""
    _count("shards", 1, output=output)
    _count("images", images, output=output)
    _count("regions", regions, output=output)
    _count("pairs", pairs, output=output)
    for cause, count in rejected.items():
        stage, _, reason = cause.partition(": ")
        _count("rejects", count, output=output, stage=stage, reason=reason)


@_never_ends_a_job
def images_done(output: str, images: int) -> None:
    """Images were segmented or evaluated."""
    _count("images", images, output=output)


@_never_ends_a_job
def failed(output: str, stage: str) -> None:
    """A stage failed on a shard or on a group of images."""
    _count("failures", 1, output=output, stage=stage)


@_never_ends_a_job
def stage_done(output: str, stage: str, seconds: float) -> None:
    """This worker was busy with a shard, or a group of images, for so long."""
    _stage_seconds().observe(seconds, tags=_tags(output=output, stage=stage))
    gpu_busy(output, stage, seconds)


@_never_ends_a_job
def gpu_busy(output: str, stage: str, seconds: float) -> None:
    """This worker was busy for so long; counts if it holds a GPU or a part of one."""
    gpus = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
    _count("gpu_busy_seconds", seconds * gpus, output=output, stage=stage)


@_never_ends_a_job
def waited(output: str, stage: str, waits: Mapping[str, float]) -> None:
    """This worker waited for so many seconds, by what for, before a shard or while it worked on it."""
    for reason, seconds in waits.items():
        _count("waiting_seconds", seconds, output=output, stage=stage, reason=reason)


@_never_ends_a_job
def steps_done(output: str, stage: str, steps: int, samples: int, loss: float) -> None:
    """Training went on by some steps over so many samples, with this mean loss."""
    _count("training_steps", steps, output=output, stage=stage)
    _count("training_samples", samples, output=output, stage=stage)
    _training_loss().set(loss, tags=_tags(output=output, stage=stage))


def _count(name: str, value: float, **tags: str) -> None:
    if value:
        _counter(name).inc(value, tags=_tags(**tags))


def _tags(**tags: str) -> dict[str, str]:
    return {
        name: quote(value, safe=_TAG_CHARACTERS, encoding="utf-8", errors="surrogatepass")
        for name, value in tags.items()
    }


# Made when they are first used: by then the process is connected to Ray.
@functools.cache
def _counter(name: str) -> Counter:
    description, tags = COUNTERS[name]
    return Counter(f"ovseg_{name}", description, tag_keys=("output", *tags))


@functools.cache
def _stage_seconds() -> Histogram:
    description = "Seconds that a stage worked on a shard, or on a group of images."
    return Histogram("ovseg_stage_seconds", description, boundaries=_SECONDS, tag_keys=("output", "stage"))


@functools.cache
def _training_loss() -> Gauge:
    return Gauge("ovseg_training_loss", "Mean loss since the last log line.", tag_keys=("output", "stage"))

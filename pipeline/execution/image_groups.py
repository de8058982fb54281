"""Groups of images on a pool of Ray actors, each of which loads its models once."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError
from ray.util.annotations import RayDeprecationWarning

from pipeline.errors import IncompleteError, UserError, told_of
from pipeline.execution import metrics
from pipeline.execution.placement import watch_placement
from pipeline.execution.progress import Progress

# A group whose workers died this often fails, instead of taking down one after the other without end.
_DEATHS = 3


class ImageGroupsError(IncompleteError):
    """The job ended before all images were done."""


@dataclass(frozen=True)
class Workers:
    """What the workers of a job may take."""

    gpus: float
    """Of one worker."""
    most: int
    """Workers at a time."""
    wait_minutes: float
    """How long the cluster may have no room for a worker."""


def worker_gpus(gpus: float | None) -> float:
    """GPUs of one worker; None: 1 if the cluster has GPUs, else 0.

    Raises:
        UserError: the cluster has too few GPUs.
    """
    available = ray.cluster_resources().get("GPU", 0.0)
    wanted = float(min(available, 1.0)) if gpus is None else gpus
    if wanted > available:
        raise UserError(f"gpus is {wanted}, but the Ray cluster has {available:g} GPUs")
    return wanted


def plan_workers(gpus: float | None, workers: int | None, threads: int, wait_minutes: float) -> Workers:
    """What the workers of a job take of this cluster.

    Args:
        gpus: as of `worker_gpus`.
        workers: most at a time; None: as many as the cluster has GPUs for, or CPUs, without GPUs.
        threads: of one worker.
        wait_minutes: how long the cluster may have no room for a worker.

    Raises:
        UserError: the cluster has too few GPUs.
    """
    gpus = worker_gpus(gpus)
    cluster = ray.cluster_resources()
    fitting = int(cluster.get("GPU", 0.0) / gpus) if gpus else int(cluster.get("CPU", 1)) // threads
    return Workers(gpus, workers or max(1, fitting), wait_minutes)


class _Counted:
    """A stage whose work appears in the metrics."""

    def __init__(self, name: str, output: str, stage: Callable[..., Callable[[dict], dict]], *arguments: Any):
        self._name, self._output = name, output
        self._stage = stage(*arguments)

    def __call__(self, row: dict) -> dict:
        started = time.perf_counter()
        result = self._stage(row)
        metrics.stage_done(self._output, self._name, time.perf_counter() - started)
        if result["error"] or result["user_error"]:
            metrics.failed(self._output, self._name)
        else:
            metrics.images_done(self._output, result["images"])
        return result


def run_groups(
    name: str,
    stage: type,
    arguments: Sequence[Any],
    groups: list[dict],
    *,
    workers: Workers,
    output: str,
    total: int,
) -> Iterator[dict]:
    """Give every group to a worker; yields their rows in the order in which they are done.

    Args:
        name: of the progress line.
        stage: called with `arguments` and the GPUs of a worker, then with one group after the other. The row that it
            returns says in `images` how many images it did, in `error` what went wrong ("" if nothing), and in
            `user_error` what the user has to change.
        groups: rows with the `images` of each.
        output: directory that the metrics name.
        total: images of the whole job; those of no group are done already.

    Raises:
        UserError: of the first group that has one.
        ImageGroupsError: workers failed; what is done is kept.
        IncompleteError: the cluster had no room for a worker for `wait_minutes`.
    """
    if not groups:
        return
    DataContext.get_current().enable_progress_bars = False  # ours counts images
    watch_placement("wait_minutes", workers.wait_minutes, "groups of images")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # of max_task_retries; there is no other way yet
        results = ray.data.from_items(groups, override_num_blocks=len(groups)).map(
            _Counted,
            fn_constructor_args=(name, output, stage, *arguments, workers.gpus),
            compute=ActorPoolStrategy(size=min(workers.most, len(groups))),
            num_cpus=1,
            num_gpus=workers.gpus,
            max_task_retries=_DEATHS - 1,
        )
    errors = []
    progress = Progress(name, total, "images", initial=total - sum(len(group["images"]) for group in groups))
    try:
        for row in results.iter_rows():
            if row["user_error"]:
                raise UserError(row["user_error"])
            if row["error"]:
                errors.append(row["error"])
            progress.advance(row["images"])
            yield row
    except RayError as error:
        raise ImageGroupsError(
            f"the workers failed; what is done is kept, run the same again: {told_of(str(error))}"
        ) from error
    finally:
        progress.close()
    if errors:
        raise ImageGroupsError(
            f"{len(errors)} of {len(groups)} groups of images failed; what is done is kept, run the same again to "
            f"retry. The first:\n{told_of(errors[0])}"
        )

"""Workers that find no machine: the job says so, and ends when none comes.

Ray waits without an end: where the machine with the only GPU is gone, the workers of a stage wait for another one, and
everything else stands still. So the driver looks at the stages from time to time, as Ray Data runs them.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial

import ray
from ray.data import DataContext
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.interfaces import PhysicalOperator
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator
from ray.data._internal.execution.streaming_executor import StreamingExecutor
from ray.data.exceptions import ExecutionTimeoutError
from tqdm import tqdm

from pipeline.errors import IncompleteError

_LOOK_SECONDS = 5.0


class NoPlaceError(IncompleteError, ExecutionTimeoutError):
    """The machines have had no room for workers for too long. (Ray Data raises errors of its own kind as they are.)"""


def watch_placement(key: str, wait_minutes: float, items: str, silent_seconds: float = 60.0) -> None:
    """Have the pipelines that this process makes from now on watched; the arguments are `Placement`'s."""
    context = DataContext.get_current()
    # One item may take longer than Ray Data's half an hour without a finished one.
    context.execution_no_progress_timeout_s = -1
    context.custom_execution_callback_classes = [partial(Placement, key, wait_minutes, items, silent_seconds)]


class Placement(ExecutionCallback):
    """Looks at one run of a pipeline; Ray Data calls it from its scheduling loop."""

    def __init__(self, key: str, wait_minutes: float, items: str, silent_seconds: float):
        """
        Args:
            key: the configuration's key of `wait_minutes`.
            wait_minutes: the run ends when the machines have had no room for so long.
            items: what the workers are given one by one, such as "shards".
            silent_seconds: with nothing finished for so long, a line says what there is; then after twice, four times…
        """
        self._key, self._items = key, items
        self._wait_seconds = 60 * wait_minutes
        self._silent_seconds = silent_seconds
        self._looked_at = self._finished_at = self._said_at = time.monotonic()
        self._finished = 0
        self._no_room_since: float | None = None

    def on_execution_step(self, executor: StreamingExecutor) -> None:
        """Called many times a second.

        Raises:
            NoPlaceError: the machines have had no room for one worker of each stage for `wait_minutes`.
        """
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        stages = [stage for stage in executor._topology if not stage.has_execution_finished()]
        finished = sum(stage.metrics.num_tasks_finished for stage in executor._topology)
        if finished > self._finished:
            self._finished, self._finished_at, self._said_at = finished, now, now
        self._check_room([stage for stage in stages if isinstance(stage, ActorPoolMapOperator)], now)
        silent = now - self._finished_at
        if silent >= max(self._silent_seconds, 2 * (self._said_at - self._finished_at)):
            self._said_at = now
            shown = "; ".join(self._describe(stage) for stage in stages)
            tqdm.write(f"nothing finished for {silent / 60:.1f} minutes: {shown}; {_cluster()}", file=sys.stderr)

    def _check_room(self, pools: Sequence[ActorPoolMapOperator], now: float) -> None:
        # Workers that load their model, or wait until others are done, have room.
        missing = [stage for stage in pools if not stage.get_actor_info().running]
        if not missing or _have_room(pools):
            self._no_room_since = None
            return
        self._no_room_since = self._no_room_since or now
        if now - self._no_room_since >= self._wait_seconds:
            kinds = " and ".join(f"{_name(stage)} ({_size(stage)} each)" for stage in missing)
            raise NoPlaceError(
                f"the machines have no room for workers of {kinds}, since {(now - self._no_room_since) / 60:.1f} "
                f"minutes ({self._key} is {self._wait_seconds / 60:g}); {_cluster()}. What is done is kept; "
                "when there is room, the same command carries on from here"
            )

    def _describe(self, stage: PhysicalOperator) -> str:
        description = f"{_name(stage)} has {stage.num_active_tasks()} {self._items}"
        if isinstance(stage, ActorPoolMapOperator):
            info = stage.get_actor_info()
            description += f" and {info.running} workers"
            if starting := info.pending + info.restarting:
                description += f", {starting} more start or wait for {_size(stage)}"
        return description


def _have_room(pools: Sequence[ActorPoolMapOperator]) -> bool:
    """Whether the machines are large enough for one worker of each stage at the same time."""
    needs = sorted(
        ((need.gpu, need.cpu) for need in (stage.min_scheduling_resources() for stage in pools)), reverse=True
    )
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    left = [(machine.get("GPU", 0.0), machine.get("CPU", 0.0)) for machine in machines]
    for gpu, cpu in needs:
        node = next((number for number, free in enumerate(left) if free[0] >= gpu and free[1] >= cpu), None)
        if node is None:
            return False
        left[node] = (left[node][0] - gpu, left[node][1] - cpu)
    return True


def _name(stage: PhysicalOperator) -> str:
    return stage.name.removeprefix("MapBatches(").removeprefix("Map(").removesuffix(")")


def _size(stage: ActorPoolMapOperator) -> str:
    worker = stage.min_scheduling_resources()
    return f"{worker.cpu:g} CPU" + (f" and {worker.gpu:g} GPU" if worker.gpu else "")


def _cluster() -> str:
    machines = sum(node["Alive"] for node in ray.nodes())
    total, free = ray.cluster_resources(), ray.available_resources()
    shares = [f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU")]
    return f"of the cluster's {machines} machines are free: {', '.join(shares)}"

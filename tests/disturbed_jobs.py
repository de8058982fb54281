"""Jobs in processes of their own, to be killed at chosen moments."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 600
"""No job of the tests takes this long, however busy the machine: one that does hangs."""

Disturbance = Literal["kill driver", "interrupt", "kill raylet", "kill head", "kill worker", "segfault"]
DISTURBANCES: tuple[Disturbance, ...] = get_args(Disturbance)

_EXIT_CODES = {"kill driver": {-9}, "interrupt": {130}, "kill raylet": {1}, "kill head": {1, 0}}
"""Of runs that a disturbance ended; the others end none. A job may be complete before it misses the head."""
_DAEMONS = {"kill raylet": "raylet", "kill head": "gcs_server"}
_SIGNALS = {"kill worker": signal.SIGKILL, "segfault": signal.SIGSEGV}


@contextlib.contextmanager
def job(
    name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """`python -m jobs.{name}` in a process group of its own; its output is added to `log`.

    Args:
        environment: variables on top of those of this process.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"jobs.{name}", *arguments],
            cwd=REPOSITORY,
            # Ray waits a minute for its head to come back; here it never does. (A busy one may not answer for a while.)
            env=os.environ | {"RAY_gcs_rpc_server_reconnect_timeout_s": "30"} | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def run(name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> int:
    """The exit code of a job that nobody disturbs.

    Args:
        environment: as of `job`; the fixture `forked_workers` is one.

    Raises:
        subprocess.TimeoutExpired: it hangs.
    """
    with job(name, arguments, log, environment) as process:
        return process.wait(LIMIT_SECONDS)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for a job's process group; returns when nothing that the job started is left, Ray's daemons included."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _end(started)


def interrupt(process: subprocess.Popen) -> None:
    """What `ray job stop` and schedulers do; the job has to end, and to take Ray with it."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(LIMIT_SECONDS)
    assert not psutil.wait_procs(started, timeout=30)[1], "an interrupted job leaves Ray running"


def kill_daemon(process: subprocess.Popen, name: str) -> None:
    """SIGKILL for a daemon of the Ray that a job started; returns when the job has ended, and nothing of it is left."""
    started = psutil.Process(process.pid).children(recursive=True)
    [daemon] = [child for child in started if child.name() == name]
    daemon.kill()
    process.wait(LIMIT_SECONDS)
    _end(started)


def _end(processes: Sequence[psutil.Process]) -> None:
    # Ray's daemons die with the driver, and its workers with them; this takes a moment.
    for survivor in psutil.wait_procs(processes, timeout=30)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    """The Ray workers of a job that are running, or waiting for, a stage of mining, or that train."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if " ".join(child.cmdline()).startswith(("ray::Map", "ray::RayTrainWorker")):
                    found.append(child)
    return found


def run_disturbed(
    name: str,
    arguments: Sequence[str],
    progress: Callable[[], int],
    disturbances: Sequence[Disturbance],
    moments: Sequence[int],
    log: Path,
    seed: int,
) -> None:
    """Run a job, and again whenever a disturbance ended it; every run has to end with the exit code that belongs to it.

    Each disturbance comes when `progress` (of files, say) has reached its moment and workers are at work, and then up
    to a fifth of a second later.

    Raises:
        subprocess.TimeoutExpired: a run hangs.
    """
    rng = random.Random(seed)
    due = deque(zip(sorted(moments), disturbances, strict=True))
    while True:
        ended_by: Disturbance | None = None
        with job(name, arguments, log) as process:
            while due and not ended_by:
                moment, disturbance = due[0]
                if not _reached(process, lambda moment=moment: progress() >= moment and bool(workers(process))):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, 0.2))
                if not (present := workers(process)):
                    continue
                due.popleft()
                if disturbance in _SIGNALS:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        rng.choice(present).send_signal(_SIGNALS[disturbance])
                    continue
                ended_by = disturbance
                if disturbance == "kill driver":
                    kill(process)
                elif disturbance == "interrupt":
                    interrupt(process)
                else:
                    kill_daemon(process, _DAEMONS[disturbance])
            code = process.wait(LIMIT_SECONDS)
        assert code in _EXIT_CODES.get(ended_by, {0}), f"{code} after {ended_by}:\n{log.read_text()}"
        if ended_by is None:
            break
    assert not due, f"the job ended before {list(due)}:\n{log.read_text()}"


def _reached(process: subprocess.Popen, condition: Callable[[], bool]) -> bool:
    """Wait for a condition; False if the process ended before."""
    while not condition():
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        return False
    return True

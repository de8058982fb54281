"""Jobs in processes of their own, to be killed at chosen moments."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 600
"""No job of the tests takes this long, however busy the machine: one that does hangs."""

Disturbance = Literal["kill driver", "kill worker", "interrupt"]


@contextlib.contextmanager
def job(name: str, arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen]:
    """`python -m jobs.{name}` in a process group of its own; its output is added to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"jobs.{name}", *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def run(name: str, arguments: Sequence[str], log: Path) -> int:
    """The exit code of a job that nobody disturbs.

    Raises:
        subprocess.TimeoutExpired: it hangs.
    """
    with job(name, arguments, log) as process:
        return process.wait(LIMIT_SECONDS)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for a job's process group; returns when nothing that the job started is left, Ray's daemons included."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Ray's daemons die with the driver, and its workers with them; this takes a moment.
    _, left = psutil.wait_procs(started, timeout=30)
    for survivor in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()


def interrupt(process: subprocess.Popen) -> None:
    """What `ray job stop` and schedulers do; the job has to end, and to take Ray with it."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(LIMIT_SECONDS)
    assert not psutil.wait_procs(started, timeout=30)[1], "an interrupted job leaves Ray running"


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
    files: Callable[[], int],
    disturbances: Sequence[Disturbance],
    moments: Sequence[int],
    log: Path,
    seed: int,
) -> list[int]:
    """Run a job, and again whenever a disturbance ended it. Gives the exit codes of all runs.

    Each disturbance comes when the output has as many files as its moment says and workers are at work, and then up
    to a fifth of a second later.

    Raises:
        subprocess.TimeoutExpired: a run hangs.
    """
    rng = random.Random(seed)
    due = deque(zip(sorted(moments), disturbances, strict=True))
    codes = []
    ended_by_itself = False
    while not ended_by_itself:
        with job(name, arguments, log) as process:
            ended_by_itself = True
            while due and ended_by_itself:
                moment, disturbance = due[0]
                if not _reached(process, lambda moment=moment: files() >= moment and bool(workers(process))):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0, 0.2))
                if not (present := workers(process)):
                    continue
                due.popleft()
                if disturbance == "kill worker":
                    with contextlib.suppress(psutil.NoSuchProcess):
                        rng.choice(present).kill()
                else:
                    (kill if disturbance == "kill driver" else interrupt)(process)
                    ended_by_itself = False
            codes.append(process.wait(LIMIT_SECONDS))
    assert not due, f"the job ended before {list(due)}"
    return codes


def _reached(process: subprocess.Popen, condition: Callable[[], bool]) -> bool:
    """Wait for a condition; False if the process ended before."""
    while not condition():
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        return False
    return True

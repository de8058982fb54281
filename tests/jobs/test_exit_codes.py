"""What ends a job, and the exit code that says so: one path for all jobs."""

import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import ray

from jobs import demo, evaluate, export, inspect, mine, run, segment, serve, train
from jobs.exit_codes import INCOMPLETE, INTERRUPTED, OK, USER_ERROR, exit_code
from pipeline.errors import IncompleteError, UserError
from tests.disturbed_jobs import LIMIT_SECONDS, REPOSITORY, job
from tests.mining.configs import command_line as mining
from tests.training.configs import command_line as training

JOBS = [
    *((job, []) for job in (demo, evaluate, export, inspect, mine, run, segment, serve, train)),
    *((evaluate, [form]) for form in ("search", "compare")),
    *((inspect, [form]) for form in ("report", "proposals")),
    (train, ["export"]),
]


def named(value: object) -> str | None:
    """For the names of tests."""
    if isinstance(value, list):
        return " ".join(value) or "job"
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("job", "form"), JOBS, ids=named)
def test_an_unknown_key_ends_every_job_with_2(job, form, capsys):
    with pytest.raises(SystemExit) as stopped:
        job.main([*form, "--no-such-key=1"])
    assert stopped.value.code == USER_ERROR
    assert capsys.readouterr().err


def evaluation(world: Path, clip: str, output: Path) -> list[str]:
    return [
        "--dataset.kind=micro_world", f"--dataset.root={world}", f"--output={output}", f"--clip.architecture={clip}",
        "--clip.weights=null",
    ]  # fmt: skip


def segmentation(world: Path, clip: str, output: Path) -> list[str]:
    images = str(world / "images")
    return [images, "--classes=dog", f"--output={output}", f"--clip.architecture={clip}", "--clip.weights=null"]


def chain(world: Path, clip: str, output: Path) -> list[str]:
    nested = [
        f"--mine.{argument.removeprefix('--')}" for argument in mining(world, clip, "") if "output" not in argument
    ]
    return [*nested, f"--train.model.architecture={clip}", "--train.model.weights=null", "--evaluate=[]",
            "--train.workers.gpu=false", f"--output={output}"]  # fmt: skip


WRITING = {
    "mine": lambda at: (mine, mining(at["world"], at["clip"], str(at["disk"] / "out"))),
    "train": lambda at: (train, training(at["mined"], at["clip"], at["disk"] / "out")),
    "evaluate": lambda at: (evaluate, evaluation(at["world"], at["clip"], at["disk"] / "out")),
    "segment": lambda at: (segment, segmentation(at["world"], at["clip"], at["disk"] / "out")),
    "run": lambda at: (run, chain(at["world"], at["clip"], at["disk"] / "out")),
    "demo": lambda at: (demo, ["--quick", f"--output={at['disk']}"]),
    "inspect report": lambda at: (inspect, ["report", str(at["mined"]), f"--output={at['disk']}"]),
    "export coco": lambda at: (export, [str(at["mined"]), "--format=coco", f"--to={at['disk']}/pairs.json"]),
    "export datasets": lambda at: (export, [str(at["mined"]), "--format=datasets", f"--to={at['disk']}/out"]),
    "export fiftyone": lambda at: (export, [str(at["mined"]), "--format=fiftyone", f"--to={at['disk']}/out"]),
}  # fmt: skip
"""By command: the job and its arguments, given the places of a test."""


@pytest.fixture
def places(world, mined, small_clip, full_disk):
    return {"world": world, "mined": mined, "clip": small_clip, "disk": full_disk}


def assert_storage_failed(code: int, said: str, why: str = "No space left on device") -> None:
    assert code == INCOMPLETE, said
    last = said.rpartition("incomplete: ")[2]
    assert "storage failed: " in last
    assert why in last
    assert "Traceback" not in said


@pytest.mark.parametrize("command", WRITING)
@pytest.mark.usefixtures("ray_cluster")
def test_a_full_disk_ends_every_job_that_writes_with_1(command, places, capsys):
    job, arguments = WRITING[command](places)
    assert_storage_failed(job.main(arguments), capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["mine", *(pytest.param(one, marks=pytest.mark.soak) for one in ("evaluate", "segment"))]
)
@pytest.mark.usefixtures("ray_cluster")
def test_a_disk_that_is_full_for_the_workers_ends_a_job_with_1(command, world, small_clip, small_disk, capsys):
    """Its configuration has room, what the workers write has not."""
    job, arguments = WRITING[command]({"world": world, "clip": small_clip, "disk": small_disk})
    if command == "mine":  # the driver writes as much as the workers, and all of it goes onto this disk
        arguments = [argument.replace("images_per_shard=6", "images_per_shard=24") for argument in arguments]
    code = job.main(arguments)
    assert list((small_disk / "out").iterdir())
    assert_storage_failed(code, capsys.readouterr().err)


READING = [
    ("inspect", ["{}"]),
    ("inspect", ["{}", "--verify"]),
    ("inspect", ["report", "{}"]),
    ("evaluate", ["compare", "ours={}"]),
    ("export", ["{}", "--format=coco", "--to=pairs.json"]),
]


def asks_for_content(method: str, path: str) -> bool:
    """Whether a request to S3 reads a file of the output directory."""
    return method == "GET" and "/out/" in path


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
@pytest.mark.parametrize(("name", "arguments"), READING, ids=named)
def test_s3_that_gives_nothing_ends_every_job_that_reads_with_1(name, arguments, proxied, capsys):
    proxy, output = proxied
    proxy.fault = lambda method, path: 403 if asks_for_content(method, path) else None
    job = importlib.import_module(f"jobs.{name}")
    code = job.main([argument.format(output) for argument in arguments])
    assert_storage_failed(code, capsys.readouterr().err, "AccessDenied")


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
@pytest.mark.parametrize(("name", "arguments"), [READING[0], *READING[3:]], ids=named)
def test_sigterm_ends_a_job_without_ray_with_130(name, arguments, proxied, tmp_path):
    proxy, output = proxied
    asked, ended = threading.Event(), threading.Event()

    def keep_waiting(method: str, path: str) -> None:
        if asks_for_content(method, path):
            asked.set()
            ended.wait()

    proxy.fault = keep_waiting
    with job(name, [argument.format(output) for argument in arguments], tmp_path / "log.txt") as process:
        assert asked.wait(LIMIT_SECONDS)
        process.send_signal(signal.SIGTERM)
        code = process.wait(LIMIT_SECONDS)
        ended.set()
    said = (tmp_path / "log.txt").read_text()
    assert code == INTERRUPTED, said
    assert said.startswith("interrupted; ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("key: wrong"), USER_ERROR, "error: key: wrong"),
        (IncompleteError("half done"), INCOMPLETE, "incomplete: half done"),
        (OSError(5, "gone", "s3://x"), INCOMPLETE, "incomplete: storage failed: [Errno 5] gone: 's3://x'; try later"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted; try later"),
    ],
    ids=["user", "incomplete", "storage", "interrupted"],
)
def test_messages_and_codes(error, code, message, capsys):
    def work() -> None:
        raise error

    assert exit_code(work, advice="try later") == code
    assert capsys.readouterr().err.strip() == message


def test_codes_of_what_ends_well():
    assert exit_code(lambda: None) == OK
    assert exit_code(lambda: INCOMPLETE) == INCOMPLETE


def test_a_bug_shows_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)


def test_signals_mean_what_they_did_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    assert exit_code(lambda: os.kill(os.getpid(), signal.SIGTERM)) == INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) is before


class _FailsAtTheStart:
    def __init__(self, error: Exception):
        raise error

    def __call__(self, row: dict) -> dict:
        return row


def _fail(row: dict, error: Exception) -> dict:
    raise error


def _in_a_task(error: Exception) -> None:
    ray.get(ray.remote(_fail).remote({}, error))


def _in_a_stage(error: Exception) -> None:
    ray.data.from_items([{"a": 1}]).map(_fail, fn_kwargs={"error": error}).materialize()


def _at_the_start_of_a_stage(error: Exception) -> None:
    pool = ray.data.ActorPoolStrategy(size=1)
    ray.data.from_items([{"a": 1}]).map(_FailsAtTheStart, fn_constructor_args=(error,), compute=pool).materialize()


@pytest.mark.parametrize("fail", [_in_a_task, _in_a_stage, _at_the_start_of_a_stage])
@pytest.mark.usefixtures("ray_cluster")
def test_storage_that_fails_in_a_worker_is_told_in_one_line(fail, capsys):
    assert exit_code(lambda: fail(OSError(28, "No space left on device", "/x"))) == INCOMPLETE
    said = capsys.readouterr().err.rpartition("incomplete: ")[2]
    assert "storage failed: [Errno 28] No space left on device: '/x'" in said
    assert len(said.splitlines()) <= 2
    assert "File " not in said


@pytest.mark.parametrize("fail", [_in_a_task, _in_a_stage])
@pytest.mark.usefixtures("ray_cluster")
def test_a_bug_in_a_worker_shows_its_traceback(fail):
    with pytest.raises(ray.exceptions.RayTaskError, match="in _fail"):
        exit_code(lambda: fail(ValueError("a bug")))


@pytest.mark.usefixtures("ray_cluster")
def test_what_the_user_has_to_change_may_be_found_by_a_worker(capsys):
    assert exit_code(lambda: _in_a_task(UserError("key: wrong"))) == USER_ERROR
    assert capsys.readouterr().err.strip() == "error: key: wrong"


def test_the_path_to_the_exit_code_loads_nothing_heavy():
    code = "import sys, jobs.exit_codes; print(sorted({'ray', 'torch', 'numpy', 'botocore'} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip() == "[]"

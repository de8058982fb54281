"""The chain: what it fills in, what it refuses, and that a killed one carries on without doing anything twice."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from jobs import run as run_job
from jobs.command import Command
from pipeline.chain.config import ChainConfig, Jobs, resolve
from pipeline.clip import ClipConfig
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.mining.config import MineConfig
from pipeline.training.config import TrainConfig
from tests.disturbed_jobs import job, kill
from tests.mining.configs import command_line as mining_arguments
from tests.mining.configs import dataset_bytes
from tests.ray_metrics import figure, wait_for_figures
from tests.training.configs import command_line as training_arguments

IMAGES = 4


def parse(*arguments: str) -> Jobs:
    config, _ = Command("jobs.run", "", ChainConfig).parse(list(arguments))
    return resolve(config)


MINIMAL = ("--output=/run", "--mine.captions.format=coco", "--mine.captions.path=captions.json")


def test_what_follows_from_the_chain_is_filled_in():
    items = "[{dataset: {kind: voc_20, root: /voc}, clip: {batch_size: 7}, limit: 3}]"
    jobs = parse(*MINIMAL, "--mine.limit=5", "--train.mode=full", f"--evaluate={items}")
    assert (jobs.mine.output, jobs.mine.limit) == ("/run/mined", 5)
    assert (jobs.train.dataset, jobs.train.output, jobs.train.mode) == ("/run/mined", "/run/adapted", "full")
    [evaluation] = jobs.evaluations
    assert evaluation.config.output == "/run/evaluated/voc_20"
    assert evaluation.config.clip == ClipConfig(architecture="local-dir:/run/adapted/model", weights=None, batch_size=7)
    assert evaluation.config.limit == 3
    # Workers get the jobs' own classes: they need not import the chain.
    kinds = [type(config) for config in (jobs.mine, jobs.train, evaluation.config, evaluation.config.clip)]
    assert kinds == [MineConfig, TrainConfig, EvaluateConfig, ClipConfig]


def test_what_is_given_stays():
    items = "[{dataset: {kind: voc_20, root: /voc}, clip: {architecture: ViT-B-16, weights: openai}, output: /e}]"
    jobs = parse(*MINIMAL, "--mine.output=s3://bucket/mined", "--train.output=s3://bucket/run", f"--evaluate={items}")
    assert jobs.train.dataset == "s3://bucket/mined"
    [evaluation] = jobs.evaluations
    assert evaluation.config.clip == ClipConfig(architecture="ViT-B-16", weights="openai")
    assert (evaluation.config.output, evaluation.label) == ("/e", "ViT-B-16, openai")
    assert parse(*MINIMAL).evaluations == []


def test_sections_are_also_read_from_the_files_of_their_jobs():
    jobs = parse("--output=/run", "--mine=jobs/mine.yaml", "--train=jobs/train-ViT-B-16.yaml", "--train.batch_size=8")
    assert jobs.mine.output == str(Path("mined").absolute())
    assert jobs.train.dataset == jobs.mine.output
    assert jobs.report == "/run/report"
    assert (jobs.train.loss.kind, jobs.train.batch_size) == ("contrastive", 8)


def test_the_example_is_complete_and_known():
    jobs = parse("--config=jobs/run.yaml")
    assert [evaluation.label for evaluation in jobs.evaluations] == ["adapted CLIP", "ViT-B-16, openai"]


TWICE = "[{dataset: {kind: voc_20, root: /a}}, {dataset: {kind: voc_20, root: /b}}]"
WEIGHTS = "[{dataset: {kind: voc_20, root: /a}, clip: {weights: openai}}]"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--train.dataset=/other", r"train\.dataset: /other is not what this chain mines \(/run/mined\)"),
        (f"--evaluate={TWICE}", "two jobs of this chain would write to /run/evaluated/voc_20"),
        ("--train.output=/run/mined", "two jobs of this chain would write to /run/mined"),
        ("--train.output=/run/report", "two jobs of this chain would write to /run/report"),
        (f"--evaluate={WEIGHTS}", r"evaluate\[0\]\.clip\.weights: the trained CLIP brings its own"),
        ("--output=s3://key:hush@bucket/run", "output contains a secret"),
    ],
)
def test_contradictions_are_named(argument, message):
    with pytest.raises(UserError, match=message):
        parse(*MINIMAL, argument)


def test_chains_without_rounds_are_as_they_were():
    jobs = parse(*MINIMAL)
    assert jobs.rounds.count == 0


def chain_arguments(world: Path, small_clip: str, output: Path) -> list[str]:
    """The mining and training of the other tests, and an evaluation of the trained CLIP and of the untouched one."""
    evaluation = {
        "dataset": {"kind": "micro_world", "root": str(world)},
        "limit": IMAGES,
        "workers": 1,
        "proposals": {"backend": "ground_truth", "options": {"annotations": str(world / "panoptic.json")}},
    }
    untouched = evaluation | {
        "clip": {"architecture": small_clip, "batch_size": 16}, "output": f"{output}/untouched",
    }  # fmt: skip
    mining, training = (
        [argument.replace("--", f"--{section}.", 1) for argument in arguments if not argument.startswith(left_out)]
        for section, arguments, left_out in (
            ("mine", mining_arguments(world, small_clip, ""), "--output"),
            ("train", training_arguments("", small_clip, ""), ("--output", "--dataset")),
        )
    )
    return [f"--output={output}", *mining, *training, f"--evaluate={json.dumps([evaluation, untouched])}"]


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--train.full.epochs=0", "error: train.full.epochs is 0; it must be at least 1"),
        ("--train.model.architecture=ViT-Z-99", "error: train: clip.architecture 'ViT-Z-99'"),
        ("--mine.shards.images_per_shard=0", "error: mine.shards.images_per_shard is 0; it must be at least 1"),
        ("--evaluate=[{dataset: {kind: micro_world, root: /nowhere}}]", "error: evaluate[0]: dataset.root"),
    ],
)
def test_what_is_wrong_with_a_later_job_is_said_before_the_first_one_starts(
    argument, message, world, small_clip, tmp_path, capsys
):
    assert run_job.main([*chain_arguments(world, small_clip, tmp_path / "run"), argument]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def files(*folders: Path) -> dict[Path, tuple[int, int]]:
    """What has changed if any of it is written again."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.soak
def test_a_chain_that_was_killed_between_two_jobs_carries_on(mined, world, small_clip, tmp_path, capsys):
    output, log = tmp_path / "run", tmp_path / "log.txt"
    arguments = chain_arguments(world, small_clip, output)
    assert run_job.main([*arguments, "--dry-run"]) == 0
    assert f"evaluate[0] → {output}/evaluated/micro_world" in capsys.readouterr().out
    assert not output.exists()

    with job("run", arguments, log) as process:
        while not (output / "mined" / "dataset.json").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"it ended with {process.wait(0.02)}: {log.read_text()}")
        kill(process)
    assert not (output / "adapted" / "result.json").exists()
    assert dataset_bytes(output / "mined") == dataset_bytes(mined)
    before = files(output / "mined")

    assert run_job.main(arguments) == 0
    assert files(output / "mined") == before
    result = json.loads((output / "adapted" / "result.json").read_text())
    assert result["dataset"] == str(output / "mined")
    shown = capsys.readouterr().out
    done = [line for line in shown.splitlines() if " is done: " in line]
    assert [line.partition(" ")[0] for line in done] == ["mine", "train", "evaluate[0]", "evaluate[1]", "report"]
    assert done[-1].endswith(f" is done: {output}/report/index.html")
    links = re.findall(r'href="(\w+/index\.html)"', (output / "report" / "index.html").read_text())
    assert links == ["mined/index.html", "adapted/index.html", "evaluated/index.html"]
    assert all((output / "report" / link).exists() for link in links)
    assert f"adapted CLIP, micro_world: {IMAGES} images" in shown.replace("\n", " ")
    trained, untouched = (
        json.loads((output / name / "result.json").read_text()) for name in ("evaluated/micro_world", "untouched")
    )
    assert trained["images"] == untouched["images"] == IMAGES
    assert trained["region_accuracy"] != untouched["region_accuracy"]

    adapted = str(output / "adapted")
    steps = {figure("training_steps_total", stage=stage): float(count) for stage, count in result["steps"].items()}
    samples = {figure("training_samples_total", **dict(key[1])): 16 * count for key, count in steps.items()}
    figures = wait_for_figures(adapted, steps | samples)
    assert figures | steps | samples == figures
    evaluated = {figure("images_total"): float(IMAGES)}
    assert wait_for_figures(str(output / "untouched"), evaluated).items() >= evaluated.items()

    before = files(output)
    assert run_job.main(arguments) == 0
    assert files(output) == before
    assert run_job.main([*arguments, "--overwrite", "report"]) == 0
    assert {path.parts[len(output.parts)] for path, change in files(output).items() if before[path] != change} == {
        "report"
    }
    before = files(output)
    assert run_job.main([*arguments, "--train.full.learning_rate=2e-3"]) == 2
    assert "train: output: " in capsys.readouterr().err
    assert files(output) == before

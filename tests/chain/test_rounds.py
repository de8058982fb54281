"""A chain with rounds, in processes of its own that are killed between and within rounds."""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from jobs import run as run_job
from pipeline.demo.labelling import write_labels
from tests.chain.test_chain import IMAGES, chain_arguments, files
from tests.disturbed_jobs import job, kill
from tests.mining.configs import dataset_bytes

LABELS = 40


def arguments(world: Path, small_clip: str, output: Path, *more: str) -> list[str]:
    """The chain of the other tests; its proposals are kept."""
    return [*chain_arguments(world, small_clip, output), "--mine.keep_proposals=true", "--train.mode=full", *more]


@pytest.fixture(scope="module")
def first(world, small_clip, ray_cluster, tmp_path_factory) -> Path:
    """Round 0, as a chain without rounds leaves it, and labels of it by the truth."""
    output = tmp_path_factory.mktemp("rounds") / "run"
    assert run_job.main(arguments(world, small_clip, output)) == 0
    write_labels(output / "mined", world, LABELS, 0, output.parent / "labels.json")
    return output


def with_rounds(first: Path, *more: str) -> list[str]:
    labels = first.parent / "labels.json"
    return ["--rounds.count=1", f"--rounds.labels={labels}", "--rounds.stop.min_gain=-1", *more]


def wait_for(path: Path, process: subprocess.Popen, log: Path) -> None:
    while not path.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {process.wait(0.02)}: {log.read_text()}")


@pytest.mark.soak
def test_rounds_that_were_killed_carry_on(first, world, small_clip, tmp_path, capsys):
    log, command = tmp_path / "log.txt", arguments(world, small_clip, first, *with_rounds(first))
    assert run_job.main([*command, "--dry-run"]) == 0
    assert f"round 1, matcher (train, rounds.keep) → {first}/rounds/1/matcher" in capsys.readouterr().out
    before = files(first / "mined", first / "adapted", first / "untouched")

    for moment in ("rounds/1/matcher/samples.parquet", "rounds/1/mined/manifests/000001.parquet"):
        with job("run", command, log) as process:
            wait_for(first / moment, process, log)
            kill(process)
    assert not (first / "rounds.json").exists()
    assert run_job.main(command) == 0

    # Round 0 is not done again: only its quality tables have come.
    after = files(first / "mined", first / "adapted", first / "untouched")
    assert {path: after[path] for path in before} == before
    assert {path.parent.name for path in after.keys() - before.keys()} == {"quality"}
    result = json.loads((first / "rounds.json").read_text())
    assert [row["number"] for row in result["rounds"]] == [0, 1]
    assert result["rounds"][1]["agreement"] is not None
    assert result["rounds"][0]["labelled"]["right"] + result["rounds"][0]["labelled"]["wrong"] == LABELS
    shown = capsys.readouterr().out
    assert "rounds is done: round " in shown
    assert "agreement" in shown
    page = (first / "report" / "index.html").read_text()
    assert '<h2 id="rounds-title">Rounds</h2>' in page

    check_lineage(first, small_clip)
    best = json.loads((first / "evaluated" / "micro_world" / "result.json").read_text())
    if result["best"]:
        best = json.loads((first / "rounds" / "1" / "evaluated" / "0-micro_world" / "result.json").read_text())
    assert best["images"] == IMAGES

    # All is done: nothing is written again. And one that nobody disturbs comes to the same.
    before = files(first)
    assert run_job.main(command) == 0
    assert files(first) == before
    mined, figures = dataset_bytes(first / "rounds" / "1" / "mined"), without_paths(result)
    assert run_job.main([*command, "--overwrite", "rounds"]) == 0
    assert dataset_bytes(first / "rounds" / "1" / "mined") == mined
    assert without_paths(json.loads((first / "rounds.json").read_text())) == figures


def check_lineage(first: Path, small_clip: str) -> None:
    """Every checkpoint names its dataset, which names the checkpoint that matched it."""
    adapted, matcher, mined = (first / "rounds" / "1" / name for name in ("adapted", "matcher", "mined"))
    assert json.loads((adapted / "result.json").read_text())["dataset"] == str(mined)
    described = yaml.safe_load((mined / "config.yaml").read_text())["configuration"]
    assert described["clip"]["architecture"] == f"local-dir:{matcher}/model"
    assert described["proposals"]["backend"] == "mined"
    assert json.loads((matcher / "result.json").read_text())["dataset"] == str(first / "mined")
    original = yaml.safe_load((first / "mined" / "config.yaml").read_text())["configuration"]
    assert original["clip"]["architecture"] == small_clip
    # The result is adapted from the original weights.
    assert yaml.safe_load((adapted / "config.yaml").read_text())["configuration"]["model"]["architecture"] == small_clip


def without_paths(result: dict) -> list[dict]:
    return [
        {key: row[key] for key in ("pairs", "nouns", "accuracy", "retention", "agreement")} for row in result["rounds"]
    ]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--rounds.labels=/nowhere.json", "error: rounds.labels: /nowhere.json: there is no such file of labels"),
        ("--rounds.keep=p_right > 2", "error: round 0, held-out images (rounds.keep): data.where: none of the"),
        ("--rounds.keep=no_column > 2", "error: round 0, held-out images (rounds.keep): data.where: "),
        ("--rounds.keep=random() < 0.5", "error: rounds.keep: 'random() < 0.5' uses random"),
        ("--rounds.final=select", "error: rounds.final: 'select' is no expression"),
        ("--rounds.keep=key = '000000-00000-000'", "error: round 1, matcher (train, rounds.keep): batch_size is 16"),
    ],
)
def test_what_is_wrong_with_a_round_is_told_with_its_number_and_key(
    argument, message, first, world, small_clip, capsys
):
    command = arguments(world, small_clip, first, *with_rounds(first, argument))
    assert run_job.main(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.soak
def test_labels_of_another_dataset_are_refused(first, world, small_clip, tmp_path, capsys):
    document = json.loads((first.parent / "labels.json").read_text())
    document["dataset"]["fingerprint"] = "0" * 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document))
    assert run_job.main(arguments(world, small_clip, first, *with_rounds(first, f"--rounds.labels={other}"))) == 2
    assert "these labels are of another dataset" in capsys.readouterr().err

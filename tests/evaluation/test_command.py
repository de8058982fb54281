"""python -m jobs.evaluate compare and search."""

import json
from pathlib import Path

import pytest

from jobs.evaluate import main


def write_result(folder: Path, dataset: str, scores: dict[str, float]) -> str:
    folder.mkdir()
    content = {"dataset": {"name": dataset}, "scores": {branch: {"miou": miou} for branch, miou in scores.items()}}
    (folder / "result.json").write_text(json.dumps(content))
    return str(folder)


def test_evaluations_of_one_model_fill_one_row(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    ade = write_result(tmp_path / "ade", "ade20k_150/validation", {"clip": 0.2, "fused": 0.311})
    voc = write_result(tmp_path / "voc", "voc_20/val", {"clip": 0.876})
    assert main(["compare", f"my model={ade}", f"my model={voc}"]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if "my model" in line]
    assert [cell.strip() for cell in row.split("│")[4:-1]] == ["–", "–", "31.1", "–", "87.6"]


def test_what_cannot_be_compared_is_named(tmp_path: Path, capsys):
    world = write_result(tmp_path / "world", "micro_world", {"clip": 0.2})
    assert main(["compare", f"mine={world}"]) == 2
    assert "micro_world; published figures are there for ade20k_847" in capsys.readouterr().err
    assert main(["compare", f"mine={tmp_path / 'nothing'}"]) == 2
    assert "nothing holds no complete evaluation" in capsys.readouterr().err
    assert main(["compare", "mine"]) == 2
    assert "LABEL=DIRECTORY" in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_search_tries_every_weight(world: Path, small_clip: str, tmp_path: Path, capsys):
    """With the true masks as proposals CLIP alone decides, so every weight above 0 gives the same labels."""
    arguments = [
        "search",
        "--dataset.kind=micro_world",
        f"--dataset.root={world}",
        "--limit=4",
        f"--output={tmp_path / 'search'}",
        f"--clip.architecture={small_clip}",
        "--clip.weights=null",
        "--proposals.backend=ground_truth",
        f"--proposals.ground_truth.annotations={world / 'panoptic.json'}",
        "--proposals.ground_truth.panoptic_images=" + str(world / "panoptic"),
        "--weights=[0.5, 1.0]",
    ]
    assert main(arguments) == 0
    assert "mask threshold" in capsys.readouterr().out
    found = json.loads((tmp_path / "search" / "search.json").read_text())
    assert sorted(score["weight"] for score in found) == [0.5, 1.0]
    assert found[0]["miou"] == found[1]["miou"]

"""python -m jobs.evaluate compare, mess and search."""

import json
from pathlib import Path

import pytest

from jobs.evaluate import main


def result(dataset: str, scores: dict[str, float]) -> dict:
    """The content of a result.json with these mIoU."""
    others = dict.fromkeys(("miou_gt_or_pred", "fwiou", "macc", "pacc"), 0.5)
    return {
        "dataset": {"name": dataset},
        "images": 2,
        "scores": {branch: {"miou": miou, **others} for branch, miou in scores.items()},
        "region_accuracy": {"regions": 0, "top1": None, "top5": None, "mean_per_class": None},
    }


def write_result(folder: Path, dataset: str, scores: dict[str, float]) -> str:
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result(dataset, scores)))
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
    assert "[LABEL=]DIRECTORY: mine holds no complete" in capsys.readouterr().err


def test_means_of_mess(tmp_path: Path, capsys, monkeypatch):
    """Two of six general sets, three of PAXRay's four parts, which are then no set, and a whole domain of three."""
    monkeypatch.setenv("COLUMNS", "160")
    mious = {"bdd100k": 0.2, "dram": 0.4, "suim": 0.1, "cub_200": 0.2, "cwfid": 0.3, "chase_db1": 0.25}
    mious |= {"paxray_lungs": 0.5, "paxray_bones": 0.5, "paxray_diaphragm": 0.5}
    folders = []
    for name, miou in mious.items():
        folders.append(write_result(tmp_path / name, f"mess_{name}/test", {"clip": 0.9}))
        path = tmp_path / name / "result.json"
        path.write_text(path.read_text().replace('"miou_gt_or_pred": 0.5', f'"miou_gt_or_pred": {miou}'))
    assert main(["mess", *folders]) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    means = {row[0]: row[1:] for row in rows if len(row) == 3}
    assert means["general"] == ["2 of 6", "(30.0)"]
    assert means["earth monitoring"] == ["0 of 5", "–"]
    assert means["medical sciences"] == ["1 of 4", "(25.0)"]
    assert means["engineering"] == ["0 of 4", "–"]
    assert means["agriculture and biology"] == ["3 of 3", "20.0"]
    assert means["all sets"] == ["6 of 22", "(24.2)"]  # 145 / 6
    assert means["paxray_bones"] == ["", "50.0"]
    folders.append(write_result(tmp_path / "mediastinum", "mess_paxray_mediastinum/test", {"clip": 0.9}))
    assert main(["mess", *folders]) == 0
    assert "2 of 4 │ (37.5)" in capsys.readouterr().out  # medical sciences: (25 + 50) / 2
    assert main(["mess", folders[0], folders[0]]) == 2
    assert "as another of these directories does" in capsys.readouterr().err
    assert main(["mess", write_result(tmp_path / "ade", "ade20k_150/validation", {"clip": 0.2})]) == 2
    assert "ade20k_150, which is no set of MESS" in capsys.readouterr().err


WHOLE = json.dumps(result("voc_20/val", {"clip": 0.5}))


@pytest.mark.parametrize(
    "content",
    [
        "",
        WHOLE[:-20],
        "[1, 2]",
        "null",
        '"text"',
        "{}",
        WHOLE.replace("0.5", '"0.5"'),
        WHOLE.replace("0.5", "[]"),
        WHOLE.replace('"clip"', '"strange"'),
        WHOLE.replace('"miou"', '"mio"'),
        json.dumps(json.loads(WHOLE) | {"scores": [1]}),
        json.dumps(json.loads(WHOLE) | {"dataset": "voc_20"}),
        WHOLE.replace('"images": 2', '"images": ' + "9" * 5000),
        "[" * 100_000,
    ],
)
def test_a_damaged_result_is_named(tmp_path: Path, capsys, content):
    (tmp_path / "result.json").write_text(content)
    assert main(["compare", f"it={tmp_path}"]) == 2
    assert f"{tmp_path / 'result.json'} is damaged" in capsys.readouterr().err


def test_a_result_of_arbitrary_bytes_is_named(tmp_path: Path, capsys):
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00{")
    assert main(["compare", f"it={tmp_path}"]) == 2
    assert "result.json is damaged" in capsys.readouterr().err


def test_a_result_that_is_a_folder_is_named(tmp_path: Path, capsys):
    (tmp_path / "result.json").mkdir()
    assert main(["compare", f"it={tmp_path}"]) == 2
    assert "result.json" in capsys.readouterr().err


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
        f"--proposals.options.annotations={world / 'panoptic.json'}",
        "--proposals.options.panoptic_images=" + str(world / "panoptic"),
        "--weights=[0.5, 1.0]",
    ]
    assert main(arguments) == 0
    assert "mask threshold" in capsys.readouterr().out
    found = json.loads((tmp_path / "search" / "search.json").read_text())
    assert sorted(score["weight"] for score in found) == [0.5, 1.0]
    assert found[0]["miou"] == found[1]["miou"]

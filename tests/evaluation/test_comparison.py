"""Two evaluations of the same images: differences, and whether they are larger than chance."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from jobs.evaluate import main
from pipeline.errors import UserError
from pipeline.evaluation.comparison import paired
from pipeline.evaluation.comparison.evaluated import read_evaluated
from pipeline.evaluation.comparison.paired import paired_differences, two_sided_p
from pipeline.evaluation.comparison.shared import shared_images
from pipeline.evaluation.datasets.contents import FILES
from tests.report.made import made_evaluation


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory) -> dict[str, Path]:
    """By share of wrong regions; `less` is of half the images. Tests only read them."""
    folder = tmp_path_factory.mktemp("evaluated")
    made = {"bad": (0.6, 0, None), "good": (0.1, 1, None), "as good": (0.1, 2, None), "less": (0.1, 1, 12)}
    return {
        name: made_evaluation(world, folder / name, share, seed, limit) for name, (share, seed, limit) in made.items()
    }


def differences(a: Path, b: Path):
    first, second = read_evaluated("a", str(a)), read_evaluated("b", str(b))
    shared = shared_images(first, second)
    [scores] = [part for part in paired_differences(first, second, shared, 1000)[0] if part.part == "scores"]
    return shared, scores


def test_what_differs_is_told_from_chance(evaluated, monkeypatch):
    monkeypatch.setattr(paired, "FEWEST_IMAGES", 2)  # these are few images of many classes
    _, scores = differences(evaluated["bad"], evaluated["good"])
    for row in scores.headline:
        assert row.beyond_chance
        assert 0 < row.low < row.b - row.a < row.high
    results = [json.loads((evaluated[name] / "result.json").read_text()) for name in ("bad", "good")]
    for row in scores.headline:
        assert [row.a, row.b] == pytest.approx([result["scores"]["clip"][row.name] for result in results])
    _, alike = differences(evaluated["as good"], evaluated["good"])
    assert [row.low < 0 < row.high for row in alike.headline] == [True] * 5
    _, same = differences(evaluated["good"], evaluated["good"])
    assert {(row.low, row.high, row.beyond_chance) for row in same.headline} == {(0.0, 0.0, False)}
    assert not any(row.beyond_chance for row in same.classes)
    assert {(row.low, row.high) for row in same.classes} == {(0.0, 0.0)}
    assert {row.p for row in same.classes} == {1.0}


def test_only_images_of_both_count(evaluated, tmp_path):
    shared, scores = differences(evaluated["less"], evaluated["good"])
    assert (len(shared.image_ids), shared.only_a, shared.only_b, shared.changed) == (12, 0, 12, 0)
    [miou] = [row for row in scores.headline if row.name == "miou"]
    assert miou.a == pytest.approx(
        json.loads((evaluated["less"] / "result.json").read_text())["scores"]["clip"]["miou"]
    )
    for name, other in (("good", "0" * 64), ("less", "1" * 64)):
        shutil.copytree(evaluated[name], tmp_path / name)
        digests = {image: ["0" * 64, "0" * 64] for image in shared.image_ids}
        digests[shared.image_ids[3]][1] = other
        (tmp_path / name / FILES).write_text(json.dumps(digests))
    shared, _ = differences(tmp_path / "less", tmp_path / "good")
    assert (len(shared.image_ids), shared.changed) == (11, 1)


def test_two_sided_p_is_that_of_the_normal_distribution():
    """Of a bootstrap whose resamplings are normal about a difference of z standard errors."""
    rng = np.random.default_rng(0)
    z = np.array([0.0, -1.0, 2.0, 3.0])
    assert two_sided_p(z + rng.normal(size=(200_000, 4))) == pytest.approx(2 * norm.sf(np.abs(z)), abs=0.004)
    assert two_sided_p(np.full((99, 1), 5.0)) == pytest.approx(2 / 100)


def test_what_cannot_be_compared_is_refused(evaluated, tmp_path):
    shutil.copytree(evaluated["good"], tmp_path / "other")
    result = json.loads((tmp_path / "other" / "result.json").read_text())
    result["dataset"]["name"] = "voc_20/val"
    (tmp_path / "other" / "result.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="different data sets, micro_world and voc_20/val"):
        differences(evaluated["good"], tmp_path / "other")


def test_the_command(evaluated, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    output = tmp_path / "differences.json"
    arguments = ["compare", f"bad={evaluated['bad']}", f"good={evaluated['good']}", "--resamplings=500"]
    assert main([*arguments, f"--output={output}"]) == 0
    shown = capsys.readouterr().out
    assert "micro_world: 24 images of both" in shown
    assert "beyond chance" in shown
    assert "whether both read the same files is not known" in shown
    [found] = json.loads(output.read_text())["comparisons"]
    assert found["images"] == {"shared": 24, "only_a": 0, "only_b": 0, "changed": 0}
    assert {row["name"] for row in found["parts"]["scores"]["headline"]} >= {"miou", "pacc"}
    for row in found["parts"]["scores"]["classes"]:
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        assert row["p"] <= row["p_adjusted"]
        assert row["images"] >= found["fewest_images"]
    assert main([*arguments[:2], f"--output={output}"]) == 2
    assert "no two evaluations are of one data set" in capsys.readouterr().err
    assert main([*arguments, f"--output={tmp_path}"]) == 2
    assert "is no .json file" in capsys.readouterr().err


def test_an_evaluation_by_an_older_version_is_compared_as_far_as_it_goes(evaluated, tmp_path, capsys):
    shutil.copytree(evaluated["good"], tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "class_pixels")
    assert main(["compare", str(tmp_path / "old"), f"bad={evaluated['bad']}", "--resamplings=200"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "pixels cannot be compared: an earlier version kept no counts of single images" in shown
    assert "top1" in shown

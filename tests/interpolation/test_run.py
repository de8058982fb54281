"""Interpolation of real runs: its curve against the run's own figures, its model, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from jobs import train as train_job
from pipeline.errors import UserError
from pipeline.interpolation.config import InterpolateConfig
from pipeline.interpolation.run import interpolate
from pipeline.interpolation.subject import check_subject, open_subject
from pipeline.retention.config import ImageSetConfig, RetentionConfig
from tests.retention.pictures import write_class_folders

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def things(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "things"
    write_class_folders(folder, images=2)
    return folder


@pytest.fixture
def run(adapted, tmp_path) -> Path:
    """A copy of a complete run without what an interpolation does not need."""
    folder = tmp_path / "run"
    shutil.copytree(adapted, folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    return folder


def sets(things: Path) -> RetentionConfig:
    return RetentionConfig([ImageSetConfig("class_folders", str(things), templates="photo")])


def test_the_curve_and_the_model(run, small_clip, things, world, ray_cluster, tmp_path, capsys):
    evaluation = tmp_path / "evaluate.yaml"
    evaluation.write_text(
        yaml.safe_dump(
            {
                "dataset": {"kind": "micro_world", "root": str(world)},
                "limit": 2,
                "workers": 1,
                "clip": {"batch_size": 16},
                "proposals": {
                    "backend": "ground_truth",
                    "max_area": 1.0,
                    "options": {"annotations": str(world / "panoptic.json")},
                },
            }
        )
    )
    arguments = [
        "interpolate",
        str(run),
        f"--retention.sets=[{{kind: class_folders, root: {things}, templates: photo}}]",
        "--alphas=[0.5]",
        "--max_lost=100",
        "--gpu=false",
    ]
    assert train_job.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "most accuracy on masked regions with at most 100 points of retention lost" in shown
    folder = run / "interpolation"
    result = json.loads((folder / "result.json").read_text())
    assert [point["alpha"] for point in result["points"]] == [0, 0.5, 1]
    accuracies = [point["accuracy"] for point in result["points"]]
    own = [row["accuracy_top1"] for row in json.loads((run / "result.json").read_text())["accuracy"]]
    assert (accuracies[0], accuracies[-1]) == (own[0], own[-1])  # before training, and after its last epoch
    best = max(range(3), key=lambda place: (accuracies[place], -place))
    assert result["chosen"] == result["points"][best]["alpha"]
    original = load_file(Path(small_clip.removeprefix("local-dir:")) / "open_clip_model.safetensors")
    tuned = load_file(run / "model" / "open_clip_model.safetensors")
    written = load_file(folder / "model" / "open_clip_model.safetensors")
    for name, tensor in written.items():
        expected = torch.lerp(original[name], tuned[name], result["chosen"])
        torch.testing.assert_close(tensor, expected, msg=name)
    assert "Chosen by: most accuracy" in (folder / "model" / "README.md").read_text()
    page = (run / "report" / "index.html").read_text()
    assert "Between the original CLIP and the adapted one" in page
    assert "Gain against what is kept" in page

    # What was measured is not measured again; mIoU comes to it.
    before = {path: path.stat().st_mtime_ns for path in (folder / "measured").iterdir()}
    assert len(before) == 3
    assert train_job.main([*arguments, f"--evaluate={evaluation}"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = json.loads((folder / "result.json").read_text())
    assert again["gain"] == "miou"
    assert [point["accuracy"] for point in again["points"]] == accuracies
    for point in again["points"]:
        evaluated = json.loads((folder / "evaluated" / f"{point['alpha']:g}" / "result.json").read_text())
        assert point["miou"] == evaluated["scores"]["clip"]["miou"]
    assert not list((folder / "evaluated").glob("*-model"))


def described(run: Path, **changes) -> None:
    """Change what the run's config.yaml says."""
    path = run / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *sections, name = key.split("__")
        section = stored
        for one in sections:
            section = section[one]
        section[name] = value
    path.write_text(yaml.safe_dump(stored))


def test_what_cannot_be_interpolated(run, small_clip, things, world, ray_cluster, tmp_path):
    config = InterpolateConfig(retention=sets(things))
    with pytest.raises(UserError, match=r"itself measured no retention"):
        open_subject(str(run), InterpolateConfig())
    with pytest.raises(UserError, match=r"alphas\[0\] is 1\.5; it must be at least 0 and at most 1"):
        interpolate(str(run), InterpolateConfig(alphas=[1.5], retention=sets(things)))
    # The original is elsewhere now, and then it is said where.
    moved = shutil.copytree(small_clip.removeprefix("local-dir:"), tmp_path / "moved")
    described(run, configuration__model__architecture="local-dir:/nowhere/clip")
    with pytest.raises(UserError, match=r"run began with cannot be loaded any more: .*--architecture and --weights"):
        check_subject(open_subject(str(run), config))
    found = InterpolateConfig(retention=sets(things), architecture=f"local-dir:{moved}")
    check_subject(open_subject(str(run), found))
    elsewhere = InterpolateConfig(retention=sets(things), architecture=f"local-dir:{run / 'model'}")
    with pytest.raises(UserError, match=r"is not the CLIP that this run began with any more"):
        check_subject(open_subject(str(run), elsewhere))
    # Only mask prompts were changed.
    shutil.copy(moved / "open_clip_model.safetensors", run / "model" / "open_clip_model.safetensors")
    with pytest.raises(UserError, match="changed no weight of either tower"):
        check_subject(open_subject(str(run), found))
    described(run, configuration__mode="pretrain")
    with pytest.raises(UserError, match="was pretrained: there is no original CLIP"):
        open_subject(str(run), config)
    (run / "result.json").unlink()
    with pytest.raises(UserError, match="the run is not complete"):
        open_subject(str(run), config)
    with pytest.raises(UserError, match=r"config\.yaml|is no training run"):
        open_subject(str(world), config)

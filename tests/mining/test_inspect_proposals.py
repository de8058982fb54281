"""`python -m jobs.inspect proposals` as a user types it; no Ray, no CLIP."""

import shutil

import pytest

from jobs import inspect as inspect_job
from pipeline.mining.proposal_trial import measure_proposals
from pipeline.proposals import ProposalsConfig
from tests.mining.configs import mine_config


def test_masks_that_people_drew_cover_themselves(world, tmp_path):
    config = mine_config(world, "unused", tmp_path, limit=7)
    report = measure_proposals(config, str(world / "panoptic.json"))
    assert report.images == len(report.counts) == 7
    assert report.recall["all"].objects == sum(report.counts)
    assert report.recall["all"].mean_best_iou == report.recall["all"].at_75 == 1
    assert report.seconds > 0
    assert report.peak_mb > 50
    assert not list(tmp_path.iterdir())


def test_without_annotations_and_with_an_image_that_is_missing(world, tmp_path):
    copy = tmp_path / "world"
    shutil.copytree(world, copy)
    (copy / "images" / "000000000003.jpg").unlink()
    config = mine_config(copy, "unused", tmp_path, limit=5, proposals=ProposalsConfig())
    report = measure_proposals(config)
    assert report.rejected == {"images: missing_file": 1}
    assert len(report.counts) == 4
    assert report.recall == {}


def test_the_command_prints_a_table(world, tmp_path, capsys):
    arguments = [
        "proposals", "--captions.format=coco", f"--captions.path={world / 'captions.json'}",
        f"--captions.images={world / 'images'}", "--output=unused", "--limit=3",
        f"--annotations={world / 'panoptic.json'}",
    ]  # fmt: skip
    assert inspect_job.main(arguments) == 0
    shown = capsys.readouterr().out
    for text in ("segments", "seconds an image", "peak memory", "recall at 0.75", "medium"):
        assert text in shown


def test_the_error_of_a_backend_that_fails_is_shown(world, tmp_path, monkeypatch, capsys):
    (tmp_path / "faulty_backend.py").write_text(
        "class Faulty:\n    identity, batch_size = {'name': 'faulty'}, 1\n\n    def __init__(self, config): ...\n\n"
        "    def propose(self, images, image_ids):\n        raise TypeError('called with 5')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        "proposals", "--captions.format=coco", f"--captions.path={world / 'captions.json'}",
        f"--captions.images={world / 'images'}", "--output=unused", "--limit=2",
        "--proposals.backend=faulty_backend:Faulty",
    ]  # fmt: skip
    assert inspect_job.main(arguments) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "rejected: proposals: failed 2; of the first: TypeError: called with 5" in shown


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--proposals.backend=maskformer", "proposals.options.weights"),
        ("--proposals.backend=sam2", "proposals.options.weights"),
        ("--proposals.backend=mask2former", "proposals.options.weights"),
        ("--proposals.batch_size=0", "proposals.batch_size is 0; it must be at least 1"),
        ("--proposals.mask_threshold=1", "proposals.mask_threshold is 1.0; it must be above 0 and below 1"),
        ("--annotations=nothing.json", "nothing.json: nothing is there"),
        ("--limit=0", "limit is 0"),
    ],
)
def test_what_cannot_work_is_said(world, argument, message, capsys):
    arguments = [
        "proposals", "--captions.format=coco", f"--captions.path={world / 'captions.json'}",
        f"--captions.images={world / 'images'}", "--output=unused", argument,
    ]  # fmt: skip
    assert inspect_job.main(arguments) == 2
    assert message in capsys.readouterr().err

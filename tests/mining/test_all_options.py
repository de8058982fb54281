"""All additions to the paper's mining at once: phrases, masks asked for by name beside others, hard negatives, further
opinions, kept proposals."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.inspection.verify import verify
from tests.disturbed_jobs import run, run_disturbed
from tests.mining.configs import command_line, dataset_bytes, files_in


@pytest.fixture
def arguments(world: Path, small_clip: str, second_clip: str, tmp_path: Path) -> Callable[[Path], list[str]]:
    """The arguments of the job, by its output directory."""
    document = json.loads((world / "captions.json").read_text())
    for number, annotation in enumerate(document["annotations"]):
        # Of a thing that is nowhere, and of what each caption names first.
        colour = ("red", "blue")[number % 2]
        said = re.sub(r"\b(a|an|the) (\w+)", rf"a {colour} \2", annotation["caption"], count=1)
        annotation["caption"] = f"A {colour} bus. {said}"
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps(document))
    truth = {"annotations": str(world / "panoptic.json"), "prompted": True}
    added = [
        f"--captions.path={captions}",
        "--captions_per_image=all",
        "--nouns.form=phrase",
        "--proposals.backends=[segments,ground_truth]",
        f"--proposals.options={json.dumps({'ground_truth': truth})}",
        "--matching.text=phrase",
        "--matching.among=prompted",
        "--negatives.count=3",
        "--keep_proposals=true",
        f"--verify+={json.dumps({'name': 'second', 'architecture': second_clip, 'weights': None, 'batch_size': 8})}",
    ]

    def of(output: Path) -> list[str]:
        # The options of several backends stand under their names.
        common = [one for one in command_line(world, small_clip, str(output)) if "--proposals" not in one]
        return [*common, *added]

    return of


def verified_bytes(folder: Path) -> list[bytes]:
    """The second opinions, by shard."""
    return [path.read_bytes() for path in sorted((folder / "verified").iterdir())]


@pytest.mark.soak
def test_a_job_with_all_of_them_that_was_killed_leaves_the_same_bytes(arguments, tmp_path):
    whole, disturbed, log = tmp_path / "whole", tmp_path / "disturbed", tmp_path / "log.txt"
    assert run("mine", arguments(whole), log) == 0, log.read_text()
    rows = pq.read_table(whole / "manifests").to_pylist()
    assert {"red", "blue"} <= {row["phrase"].split()[0] for row in rows}
    assert {row["backend"] for row in rows} == {"segments", "ground_truth"}
    assert any(row["negatives"] for row in rows)
    assert any(row["prompted_by"] for row in rows)
    rejected = pq.read_table(whole / "rejects").to_pylist()
    assert {"not_found"} == {row["reason"] for row in rejected if (row["noun"] or "").endswith("bus")}
    files = files_in(whole)

    kinds, moments = ["kill worker", "kill driver", "kill driver"], [files // 3, files // 2, 3 * files // 4]
    run_disturbed("mine", arguments(disturbed), lambda: files_in(disturbed), kinds, moments, log, seed=1)
    assert dataset_bytes(disturbed) == dataset_bytes(whole)
    assert verified_bytes(disturbed) == verified_bytes(whole)
    assert verify(str(disturbed)) == []

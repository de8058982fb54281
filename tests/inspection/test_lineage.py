"""The chain from an output to what made it, whole and with links missing, without models."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from jobs.inspect import main
from pipeline.errors import UserError
from pipeline.inspection.lineage import described, lineage


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MANIFESTS = digest("a"), digest("b")


def write(folder: Path, description: dict, *, complete: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(description))
    files = {
        f"manifests/{shard:06d}.parquet": {"sha256": found, "bytes": 1}
        for shard, found in reversed([*enumerate(MANIFESTS)])
    }
    (folder / complete).write_text(json.dumps({"files": files}))
    return folder


def dataset(folder: Path, architecture: str = "ViT-B-16", folds: tuple[str, ...] = (), **proposals: object) -> Path:
    configuration = {
        "captions": {"path": "captions.json"},
        "clip": {"architecture": architecture, "weights": None},
        "proposals": proposals,
    }
    models: dict = {"clip": {"sha256": digest(architecture)}, "proposals": {"proposals_sha256": digest("kept")}}
    if folds:
        models["cross_fit"] = [{"architecture": name, "sha256": digest(name)} for name in folds]
    description = {"kind": "mine", "fingerprint": digest(str(folder)), "configuration": configuration, "models": models}
    return write(folder, description, complete="dataset.json")


def run(folder: Path, trained_on: Path | str, manifests: str = digest("".join(MANIFESTS))) -> Path:
    description = {
        "kind": "train",
        "fingerprint": digest(str(folder)),
        "configuration": {"dataset": str(trained_on), "model": {"architecture": "ViT-B-16", "weights": "openai"}},
        "dataset": {"manifest_sha256": manifests},
        "original": {"sha256": digest("original")},
    }
    return write(folder, description, complete="result.json")


def shape(output: Path) -> list[tuple[int, str, str, bool]]:
    return [(link.depth, link.kind, link.role, bool(link.problem)) for link in lineage(str(output))]


def test_a_chain_of_rounds_is_walked_to_its_beginning(tmp_path):
    first = run(tmp_path / "run-0", dataset(tmp_path / "mined-0"))
    kept = {"backend": "mined", "options": {"dataset": str(tmp_path / "mined-0")}}
    second = run(tmp_path / "run-1", dataset(tmp_path / "mined-1", f"local-dir:{first}/model", **kept))
    assert shape(second) == [
        (0, "training run", "", False),
        (1, "dataset", "trained on", False),
        (2, "CLIP", "matched", False),
        (3, "training run", "made by", False),
        (4, "dataset", "trained on", False),
        (5, "CLIP", "matched", False),
        (4, "CLIP", "original", False),
        (2, "proposals", "kept by", False),
        (1, "CLIP", "original", False),
    ]
    lines = list(described(lineage(str(second))))
    assert f"CLIP local-dir:{first}/model, matched, sha256 {digest(f'local-dir:{first}/model')[:16]}…" in lines[2]
    assert lines[3].startswith(f"      training run {first}")


def test_both_clips_of_a_cross_fitted_dataset_are_followed(tmp_path):
    runs = [run(tmp_path / f"run-{fold}", dataset(tmp_path / "mined-0")) for fold in (0, 1)]
    mined = dataset(tmp_path / "mined-1", folds=tuple(f"local-dir:{made}/model" for made in runs))
    found = shape(mined)
    assert [role for _, _, role, _ in found if role.startswith("matched fold")] == ["matched fold 0", "matched fold 1"]
    assert (1, "CLIP", "embedded the nouns", False) in found
    assert sum(kind == "training run" for _, kind, _, _ in found) == 2


def test_a_dataset_that_was_mined_again_is_told(tmp_path):
    found = lineage(str(run(tmp_path / "run", dataset(tmp_path / "mined"), digest("others"))))
    assert "mined again" in found[1].problem


def test_missing_links_end_the_chain_with_a_remark(tmp_path):
    lost = run(tmp_path / "run", tmp_path / "gone")
    assert shape(lost)[1] == (1, "unknown", "trained on", True)
    (lost / "result.json").unlink()
    assert lineage(str(lost))[0].problem == "not complete"
    mined = dataset(tmp_path / "mined", f"local-dir:{tmp_path}/nobody/model")
    assert [link.problem for link in lineage(str(mined))][-1].startswith("no config.yaml there")
    with pytest.raises(UserError, match=r"no config\.yaml"):
        lineage(str(tmp_path / "gone"))


def test_a_circle_ends(tmp_path):
    made = tmp_path / "run"
    mined = dataset(tmp_path / "mined", f"local-dir:{made}/model")
    run(made, mined)
    assert any("leads back to itself" in link.problem for link in lineage(str(mined)))


@pytest.mark.parametrize(
    "change",
    [
        {"models": "none"},
        {"models": {"clip": ["x"], "cross_fit": [1, {"architecture": 3}]}},
        {"configuration": {"captions": {"path": "c"}, "matching": {}, "clip": 7, "proposals": [1]}},
    ],
)
def test_descriptions_of_others_lead_nowhere_and_break_nothing(tmp_path, change):
    mined = dataset(tmp_path / "mined")
    description = yaml.safe_load((mined / "config.yaml").read_text()) | change
    (mined / "config.yaml").write_text(yaml.safe_dump(description))
    assert [link.kind for link in lineage(str(mined))][:2] == ["dataset", "CLIP"]


def test_the_command_prints_the_lineage_of_a_run(tmp_path, capsys):
    made = run(tmp_path / "run", dataset(tmp_path / "mined"))
    assert main([str(made)]) == 0
    assert f"dataset {tmp_path}/mined, trained on" in capsys.readouterr().out

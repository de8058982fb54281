"""`jobs.export … --to hf://datasets/…`: by huggingface_hub to a hub on loopback, and read back from there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from jobs import export as export_job
from pipeline import storage
from pipeline.export import dataset_folder
from pipeline.export.hugging_face import export_datasets
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from tests.export.changed import changed_copy
from tests.servers.hub import Hub

TO = "hf://datasets/org/pairs"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four shards of two pairs each."""
    folder = tmp_path / "mined"
    describe_pairs(folder, shards=4, images=8)
    config = folder / "config.yaml"
    description = yaml.safe_load(config.read_text())
    description["configuration"] |= {"clip": {"architecture": "ViT-B-16", "weights": "openai"}, "captions_per_image": 1}
    description["configuration"]["proposals"] = {"backend": "segments"}
    description["models"] = {"clip": {"sha256": "0" * 64}, "proposals": {"name": "segments"}}
    config.write_text(yaml.safe_dump(description))
    noise = np.random.default_rng(0)
    for shard in range(4):
        images = noise.integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
        mask = np.zeros((24, 32), bool)
        mask[4:20, 6:26] = True
        pairs = [Pair(f"{shard}-{number}", image, mask, "dog") for number, image in enumerate(images)]
        write_pairs(folder, shard, pairs)
    return folder


def exported(dataset: Path, *more: str) -> int:
    return export_job.main([str(dataset), "--format", "datasets", "--to", TO, *more])


def sent(hub: Hub) -> list[str]:
    """Contents of files that were sent, by their SHA-256."""
    return [path.split("/")[2].partition("?")[0] for method, path, _ in hub.requests if method == "PUT"]


def uploaded(hub: Hub) -> dict[str, bytes]:
    return {name: content for name, content in hub.files("org/pairs").items() if name != ".gitattributes"}


def test_the_hub_has_what_a_folder_has_and_it_is_read_back(
    hub: Hub, writer: str, dataset: Path, tmp_path: Path, capsys
) -> None:
    assert exported(dataset) == 0
    said = capsys.readouterr().out
    assert f"{hub.endpoint}/datasets/org/pairs (private): " in said
    assert "datasets.load_dataset('org/pairs')" in said
    folder = tmp_path / "folder"
    export_datasets(str(dataset), str(folder))
    here = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
    here["README.md"] = here["README.md"].replace(b'"FOLDER"', b'"org/pairs"')
    assert uploaded(hub) == here
    for name in ("data/000000.parquet", "data/000003.parquet"):
        assert storage.read_table(f"{TO}/{name}").equals(storage.read_table(str(folder / name)))

    hub.requests.clear()
    assert exported(dataset) == 0
    assert "4 shards, 4 of them before" in capsys.readouterr().out
    assert sent(hub) == []
    assert not any("/commit/" in path for _, path, _ in hub.requests)


def test_after_a_failure_what_is_committed_is_not_made_again(
    hub: Hub, writer: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(dataset_folder, "_FILES_OF_COMMIT", 2)
    commits: list[str] = []

    def second_fails(method: str, path: str) -> int | None:
        commits.extend([path] if "/commit/" in path else [])
        return 503 if len(commits) > 1 else None

    hub.before = second_fails
    assert exported(dataset) == 1
    assert "the same command carries on" in capsys.readouterr().err
    assert len([name for name in uploaded(hub) if name.startswith("data/")]) == 2
    hub.before = lambda method, path: None
    assert exported(dataset) == 0
    assert "4 shards, 2 of them before" in capsys.readouterr().out
    assert len(sent(hub)) == len(set(sent(hub))) == 4
    # Mined again with other captions: everything is out of date, and replaced.
    other = changed_copy(dataset, tmp_path / "other", lambda row: {"caption": "another"})
    assert exported(other) == 0
    assert set(storage.read_table(f"{TO}/data/000002.parquet")["caption"].to_pylist()) == {"another"}


@pytest.mark.slow
def test_a_killed_export_sends_only_what_is_missing(hub: Hub, writer: str, dataset: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": writer, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    arguments = [sys.executable, "-m", "jobs.export", str(dataset), "--format", "datasets", "--to", TO]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)

    def kill_at_the_third(method: str, path: str) -> int | None:
        if method == "PUT" and len(hub.objects) >= 2:
            process.send_signal(signal.SIGKILL)
        return None

    hub.before = kill_at_the_third
    assert process.wait(300) == -signal.SIGKILL
    assert set(uploaded(hub)) == set()
    there = set(hub.objects)
    assert there
    hub.before = lambda method, path: None
    hub.requests.clear()
    subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=300)
    assert not there & set(sent(hub))
    assert there | set(sent(hub)) == set(hub.objects)
    assert len(uploaded(hub)) == 5


def test_what_is_there_of_others_is_not_written_over(hub: Hub, writer: str, dataset: Path, capsys) -> None:
    hub.commit("org/pairs", {"README.md": b"# Somebody's"})
    assert exported(dataset) == 2
    assert "has a README.md already, but no export of this dataset" in capsys.readouterr().err
    hub.commit("org/pairs", {"data/train.parquet": b"somebody's"})
    assert exported(dataset) == 2
    assert "train.parquet, which is not of this dataset" in capsys.readouterr().err
    assert uploaded(hub) == {"data/train.parquet": b"somebody's"}


def test_more_shards_than_the_hub_takes_in_a_folder(
    hub: Hub, writer: str, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(dataset_folder, "_FILES_IN_FOLDER", 3)
    assert exported(dataset) == 2
    assert "the hub takes 3 files in a folder, and the dataset has 4 shards" in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--format", "coco", "--to", "hf://datasets/org/pairs"],
            "send that with `hf upload`",
        ),
        (["--format", "datasets", "--to", "folder", "--private"], "--private is for --to hf://"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit):
        export_job.main(["mined", *arguments])
    assert said in capsys.readouterr().err

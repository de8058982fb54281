"""`jobs.train export … --to hf://…`: by huggingface_hub to a hub on loopback, and loaded from there."""

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from jobs import train as train_job
from pipeline.clip.loading import load_clip
from pipeline.training.publishing import publish_model
from tests.servers.hub import Hub


@pytest.fixture
def run(small_clip: str, tmp_path: Path) -> Path:
    """What a run leaves in `model/`, and something that somebody put beside it."""
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    for file in Path(small_clip.removeprefix("local-dir:")).iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / "README.md").write_text(
        "---\nlibrary_name: open_clip\n---\nopen_clip.get_tokenizer('local-dir:path/to/this/directory')\n"
    )
    (model / "notes.odt").write_bytes(b"mine")
    return tmp_path / "run"


def test_a_run_is_uploaded_with_its_card_and_loads_by_name(
    hub: Hub, writer: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert train_job.main(["export", str(run), "--to", "hf://org/clip", "--no-private"]) == 0
    said = capsys.readouterr()
    assert (
        f"{hub.endpoint}/org/clip (public): 3 files; open_clip.create_model_and_transforms('hf-hub:org/clip')"
        in said.out
    )
    assert "warning: notes.odt are no part of a model" in said.err
    there = hub.files("org/clip", kind="models")
    assert b"get_tokenizer('hf-hub:org/clip')" in there["README.md"]
    weights = "open_clip_model.safetensors"
    assert there[weights] == (run / "model" / weights).read_bytes()
    loaded, original = load_clip("hf-hub:org/clip"), load_clip(f"local-dir:{run / 'model'}")
    for name, tensor in original.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)

    hub.requests.clear()
    assert publish_model(str(run / "model"), "hf://org/clip").load == "hf-hub:org/clip"
    assert not any(method == "PUT" or "/commit/" in path for method, path, _ in hub.requests)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "./folder"], "copy the folder model/ of the run"),
        (["--to", "hf://org/clip", "--layout", "ovseg"], "without --layout and --output"),
        (["--layout", "ovseg"], "give --layout and --output for a file, or --to for the hub"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit):
        train_job.main(["export", "run", *arguments])
    assert said in capsys.readouterr().err


def test_what_is_wrong_is_said_before_anything_is_sent(
    hub: Hub, writer: str, run: Path, tmp_path: Path, capsys
) -> None:
    assert train_job.main(["export", str(run), "--to", "hf://datasets/org/clip"]) == 2
    assert "a model goes to hf://ORG/NAME" in capsys.readouterr().err
    assert train_job.main(["export", str(tmp_path), "--to", "hf://org/clip"]) == 2
    assert "is no complete training run, and holds no open_clip_config.json" in capsys.readouterr().err
    assert hub.requests == []

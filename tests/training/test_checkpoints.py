"""Checkpoints that are damaged: noticed, and got over by the one before."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import _CheckpointManagerState

from pipeline.training.checkpoint_list import drop_checkpoint, mend_list
from pipeline.training.checkpoints import DamagedCheckpointError, RunState, load_checkpoint, save_checkpoint
from pipeline.training.phases import plan_phases
from pipeline.training.run import train
from pipeline.training.run_directory import RunDirectory
from tests.training.configs import train_config

FILES = ["weights.safetensors", "optimizer.pt", "state.json", "checksums.json"]
LIST = "checkpoint_manager_snapshot.json"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = [Path.unlink, cut, zero, empty, flip]


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    state = RunState(1, 12, [{"stage": "full", "step": 12, "loss": 0.5}])
    save_checkpoint(tmp_path, {"prompts": torch.arange(6.0)}, {"optimizer": {"step": torch.ones(3)}}, state)
    return tmp_path


def test_a_whole_checkpoint_comes_back(checkpoint):
    weights, optimizer, state = load_checkpoint(checkpoint, "full-0000012")
    assert weights["prompts"].equal(torch.arange(6.0))
    assert optimizer["optimizer"]["step"].equal(torch.ones(3))
    assert (state.stage, state.step, state.history[0]["loss"]) == (1, 12, 0.5)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_noticed(checkpoint, file, damage):
    damage(checkpoint / file)
    with pytest.raises(DamagedCheckpointError, match=r"^checkpoint full-0000012 is damaged: ") as raised:
        load_checkpoint(checkpoint, "full-0000012")
    assert pickle.loads(pickle.dumps(raised.value)).name == "full-0000012"  # from a worker to the driver


NAMES = ["full-0000002", "full-0000004", "mask_prompt-0000002"]
PHASES = plan_phases(train_config("", "", ""), 64)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """A run with a list of three checkpoints, as Ray writes it, sorted by their score."""
    folder = tmp_path / "checkpoints"
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "state.json").write_text("{}")
    results = [{"checkpoint_dir_name": name, "metrics": {"accuracy_top1": 0.5}} for name in NAMES]
    state = _CheckpointManagerState(
        checkpoint_results=[results[1], results[0], results[2]],
        checkpoint_report_indices=[1, 0, 2],
        latest_checkpoint_result=results[2],
        pending_training_results=[],
        pending_validation_specs=[],
        current_report_index=3,
        validated_checkpoint_dir_names=[],
        timed_out_validation_checkpoint_dir_names=[],
        failed_validation_checkpoint_dir_names=[],
    )
    (folder / LIST).write_text(state.json())
    return RunDirectory(str(tmp_path))


def listed(run: RunDirectory) -> tuple[list[str], str]:
    """Names in the list, sorted, and the newest, as Ray reads them."""
    state = _CheckpointManagerState.parse_obj(json.loads(Path(run.checkpoints, LIST).read_text()))
    assert len(state.checkpoint_results) == len(state.checkpoint_report_indices)
    names = sorted(result.checkpoint_dir_name for result in state.checkpoint_results)
    return names, state.latest_checkpoint_result.checkpoint_dir_name


def test_a_whole_list_is_left_alone(run):
    before = Path(run.checkpoints, LIST).read_bytes()
    mend_list(run, PHASES)
    assert Path(run.checkpoints, LIST).read_bytes() == before


def test_the_damaged_one_is_taken_out(run, caplog):
    drop_checkpoint(run, NAMES[2], PHASES)
    assert listed(run) == (NAMES[:2], NAMES[1])
    assert not Path(run.checkpoints, NAMES[2]).exists()
    assert "goes on from checkpoint full-0000004" in caplog.text
    drop_checkpoint(run, NAMES[1], PHASES)
    assert listed(run) == (NAMES[:1], NAMES[0])
    drop_checkpoint(run, NAMES[0], PHASES)
    assert not Path(run.checkpoints, LIST).exists()
    assert "begins anew" in caplog.text


def test_those_that_are_gone_are_taken_out(run, caplog):
    shutil.rmtree(Path(run.checkpoints, NAMES[2]))
    mend_list(run, PHASES)
    assert listed(run) == (NAMES[:2], NAMES[1])
    assert "mask_prompt-0000002 of" in caplog.text


@pytest.mark.parametrize("damage", [cut, zero, empty, lambda path: path.write_text("[]")])
def test_a_damaged_list_is_made_anew(run, damage):
    (Path(run.checkpoints) / "other-folder").mkdir()
    damage(Path(run.checkpoints, LIST))
    mend_list(run, PHASES)
    assert listed(run) == (NAMES, NAMES[2])


def test_no_checkpoint_yet(tmp_path):
    mend_list(RunDirectory(str(tmp_path)), PHASES)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip])
def test_training_goes_on_from_the_checkpoint_before(
    adapted, mined, small_clip, tmp_path, capsys, damage: Callable[[Path], None]
):
    """An interrupted run whose newest checkpoint is damaged ends with the weights of an undisturbed one."""
    output = tmp_path / "Läufe" / "übung"  # a path outside ASCII, too
    shutil.copytree(adapted, output)
    for name in ("result.json", "metrics.parquet"):
        (output / name).unlink()
    shutil.rmtree(output / "model")
    _, newest = listed(RunDirectory(str(output)))
    damage(output / "checkpoints" / newest / "weights.safetensors")
    train(train_config(mined, small_clip, output))
    assert f"checkpoint {newest} is damaged: weights.safetensors differs" in capsys.readouterr().err
    for path in (adapted / "model").glob("*.safetensors"):
        assert (output / "model" / path.name).read_bytes() == path.read_bytes()

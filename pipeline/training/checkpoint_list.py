"""Ray Train's list of the checkpoints of a run, and taking damaged ones out of it.

Ray goes on from the newest checkpoint of the list, and refuses to start if one is gone. So what is gone, or was found
damaged when it was read, is taken out before, and the run goes on from the checkpoint before it.
"""

import json
import logging
from collections.abc import Set

import ray
from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME

from pipeline import storage
from pipeline.training.phases import Phase
from pipeline.training.run_directory import RunDirectory

_logger = logging.getLogger(__name__)


def mend_list(directory: RunDirectory, phases: list[Phase]) -> None:
    """Take checkpoints that are gone out of the list; if the list itself is damaged, make it anew from the folders.

    Raises:
        OSError: storage failed.
    """
    uri = storage.join(directory.checkpoints, CHECKPOINT_MANAGER_SNAPSHOT_FILENAME)
    try:
        listed = json.loads(storage.read_bytes(uri))
        names = [result["checkpoint_dir_name"] for result in listed["checkpoint_results"]]
        latest = listed["latest_checkpoint_result"]
        damaged = latest is not None and latest["checkpoint_dir_name"] not in names
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        damaged = True
    positions = {name: _position(name, phases) for name in storage.list_names(directory.checkpoints)}
    found = {name: position for name, position in positions.items() if position is not None}
    if damaged:
        _logger.warning("the list of checkpoints in %s is damaged: made anew from the folders", directory.checkpoints)
        _write(directory, _new_list(sorted(found, key=found.__getitem__)), phases)
        return
    for name in names:
        if name not in found:
            _logger.warning("checkpoint %s of %s is gone: left out", name, directory.uri)
    if set(names) - set(found):
        _write(directory, listed, phases, without=set(names) - set(found))


def drop_checkpoint(directory: RunDirectory, name: str, phases: list[Phase]) -> None:
    """Take one checkpoint out of the list, and delete it: the run will write one of the same name.

    Raises:
        OSError: storage failed.
    """
    listed = json.loads(storage.read_bytes(storage.join(directory.checkpoints, CHECKPOINT_MANAGER_SNAPSHOT_FILENAME)))
    _write(directory, listed, phases, without={name})
    storage.remove_tree(storage.join(directory.checkpoints, name))


def _write(directory: RunDirectory, listed: dict, phases: list[Phase], without: Set[str] = frozenset()) -> None:
    uri = storage.join(directory.checkpoints, CHECKPOINT_MANAGER_SNAPSHOT_FILENAME)
    pairs = zip(listed["checkpoint_results"], listed["checkpoint_report_indices"], strict=True)
    kept = [(result, index) for result, index in pairs if result["checkpoint_dir_name"] not in without]
    if not kept:
        _logger.warning("%s has no whole checkpoint: training begins anew", directory.uri)
        storage.remove(uri)
        return
    newest, _ = max(kept, key=lambda pair: _position(pair[0]["checkpoint_dir_name"], phases) or (-1, -1))
    _logger.warning("training goes on from checkpoint %s", newest["checkpoint_dir_name"])
    changes = {
        "checkpoint_results": [result for result, _ in kept],
        "checkpoint_report_indices": [index for _, index in kept],
        "latest_checkpoint_result": newest,
    }
    storage.write_bytes(uri, json.dumps(listed | changes).encode())


def _new_list(names: list[str]) -> dict:
    return {
        "ray_version": ray.__version__,
        "checkpoint_results": [{"version": 0, "checkpoint_dir_name": name, "metrics": {}} for name in names],
        "checkpoint_report_indices": list(range(len(names))),
        "latest_checkpoint_result": None,
        "pending_training_results": [],
        "pending_validation_specs": [],
        "current_report_index": len(names),
        "validated_checkpoint_dir_names": [],
        "timed_out_validation_checkpoint_dir_names": [],
        "failed_validation_checkpoint_dir_names": [],
    }


def _position(name: str, phases: list[Phase]) -> tuple[int, int] | None:
    """Phase and step of a checkpoint by its name, `full-0000012`; None for what is no checkpoint of the run."""
    phase, _, step = name.rpartition("-")
    names = [known.name for known in phases]
    return (names.index(phase), int(step)) if phase in names and step.isdecimal() else None

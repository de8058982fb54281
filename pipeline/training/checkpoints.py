"""The state of a run between two steps: all that is needed to go on as if nothing had happened.

A checkpoint is a folder: `weights.safetensors` (what differs from the original CLIP), `optimizer.pt`, `state.json`, and
`checksums.json` with the size and CRC-32 of each of them. Everything random is a function of the seed and the position,
so no generator is stored.
"""

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from ray.train import Checkpoint
from safetensors.torch import load_file, save_file

from pipeline.clip import Clip
from pipeline.clip.adapters import plain_name
from pipeline.errors import UserError
from pipeline.training.config import TrainConfig
from pipeline.training.moved import moved_weights, train_moved
from pipeline.training.phases import with_prompts

WEIGHTS = "weights.safetensors"
_OPTIMIZER, _STATE, _CHECKSUMS = "optimizer.pt", "state.json", "checksums.json"
_WHOLE = "model."
"""Before the names of a whole CLIP's weights, of mode `pretrain`."""
_BLOCK_BYTES = 8 * 2**20


class DamagedCheckpointError(UserError):
    """A checkpoint is not what was written."""

    def __init__(self, name: str, reason: str):
        super().__init__(f"checkpoint {name} is damaged: {reason}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple:
        return type(self), (self.name, self.reason)


@dataclass
class RunState:
    """Where a run stands."""

    stage: int = 0
    """Index of the phase; checkpoints hold it under this name."""
    step: int = 0
    """Steps done in this phase."""
    history: list[dict] = field(default_factory=list)
    """Rows of metrics.parquet so far."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Images that could not be replayed so far: why, by image_id."""


def tuned_weights(clip: Clip, config: TrainConfig) -> dict[str, torch.Tensor]:
    """What training changed, by its name in the CLIP, and the prompts.

    Of a weight that is adapted: what is trained of it, and it itself once the adapters are merged.
    """
    weights: dict[str, torch.Tensor] = {}
    if config.mode == "pretrain":
        weights |= {f"{_WHOLE}{name}": tensor for name, tensor in clip.model.state_dict().items()}
    elif config.mode != "mask_prompt":
        moved = moved_weights(clip, config)
        for name, parameter in clip.model.named_parameters():
            plain = plain_name(name)
            if plain in moved and (name == plain or parameter.requires_grad):
                weights[name] = parameter
    if clip.vision.depth:
        weights["prompts"] = clip.vision.prompts
    # A copy on the CPU: the next step must not change what is being written.
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}


@torch.no_grad()
def load_tuned(clip: Clip, weights: dict[str, torch.Tensor], config: TrainConfig) -> Clip:
    """Put `tuned_weights` into the original CLIP; it gains prompts and adapters if they have some."""
    if "prompts" in weights:
        clip = with_prompts(clip, len(weights["prompts"]), seed=0)
        clip.vision.prompts.copy_(weights["prompts"])
    if any(name != plain_name(name) for name in weights):
        train_moved(clip, config)
    own = {name.removeprefix(_WHOLE): tensor for name, tensor in weights.items() if name != "prompts"}
    unknown = clip.model.load_state_dict(own, strict=False).unexpected_keys
    assert not unknown, unknown  # the checksum was right
    return clip


def save_checkpoint(folder: Path, weights: dict[str, torch.Tensor], optimizer: dict, state: RunState) -> None:
    """Write a checkpoint.

    Args:
        optimizer: state dicts of the optimiser and the gradient scaler.
    """
    save_file(weights, folder / WEIGHTS)
    torch.save(optimizer, folder / _OPTIMIZER)
    (folder / _STATE).write_text(json.dumps(asdict(state)))
    sums = {name: _checksum(folder / name) for name in (WEIGHTS, _OPTIMIZER, _STATE)}
    (folder / _CHECKSUMS).write_text(json.dumps(sums))


def read_checkpoint(checkpoint: Checkpoint) -> tuple[dict[str, torch.Tensor], dict, RunState]:
    """Weights, optimiser state and position of a checkpoint that Ray Train keeps.

    Raises:
        DamagedCheckpointError: it is not whole.
        OSError: storage failed.
    """
    name = checkpoint.path.rstrip("/").rpartition("/")[2]
    try:
        with checkpoint.as_directory() as folder:
            return load_checkpoint(Path(folder), name)
    except FileNotFoundError as error:
        raise DamagedCheckpointError(name, "it is gone") from error


def load_checkpoint(folder: Path, name: str) -> tuple[dict[str, torch.Tensor], dict, RunState]:
    """Weights, optimiser state and position of a checkpoint in a local folder.

    Args:
        name: of the checkpoint, for messages.

    Raises:
        DamagedCheckpointError: a file is not there, or not what was written.
    """
    try:
        sums = json.loads((folder / _CHECKSUMS).read_text())
        for file in (WEIGHTS, _OPTIMIZER, _STATE):
            if _checksum(folder / file) != sums[file]:
                raise DamagedCheckpointError(name, f"{file} differs from its checksum")
    except FileNotFoundError as error:
        raise DamagedCheckpointError(name, f"{Path(error.filename).name} is not there") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpointError(name, f"{_CHECKSUMS} cannot be read") from error
    return (
        load_file(folder / WEIGHTS),
        torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True),
        RunState(**json.loads((folder / _STATE).read_text())),
    )


def _checksum(path: Path) -> list[int]:
    """Size and CRC-32 of a file."""
    crc = size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return [size, crc]

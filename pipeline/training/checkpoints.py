"""The state of a run between two steps: all that is needed to go on as if nothing had happened.

A checkpoint is a folder: `weights.safetensors` (what differs from the original CLIP), `optimizer.pt` and
`state.json`. Everything random is a function of the seed and the position, so no generator is stored.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from pipeline.clip import Clip
from pipeline.training.config import StageName
from pipeline.training.stages import with_prompts

WEIGHTS = "weights.safetensors"
_OPTIMIZER, _STATE = "optimizer.pt", "state.json"


@dataclass
class RunState:
    """Where a run stands."""

    stage: int = 0
    """Number of the stage, from 0."""
    step: int = 0
    """Steps done in this stage."""
    history: list[dict] = field(default_factory=list)
    """Rows of metrics.parquet so far."""


def tuned_weights(clip: Clip, first_stage: StageName) -> dict[str, torch.Tensor]:
    """What training changed: the whole model, image tower and temperature, or nothing of it; and the prompts."""
    weights = {}
    if first_stage == "pretrain":
        weights |= {f"model.{name}": tensor for name, tensor in clip.model.state_dict().items()}
    elif first_stage == "full":
        weights |= {f"visual.{name}": tensor for name, tensor in clip.vision.visual.state_dict().items()}
        weights["logit_scale"] = clip.logit_scale
    if clip.vision.depth:
        weights["prompts"] = clip.vision.prompts
    # A copy on the CPU: the next step must not change what is being written.
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}


@torch.no_grad()
def load_tuned(clip: Clip, weights: dict[str, torch.Tensor]) -> Clip:
    """Put `tuned_weights` into the original CLIP; it gains prompts if they have some."""
    if "prompts" in weights:
        clip = with_prompts(clip, len(weights["prompts"]), seed=0)
        clip.vision.prompts.copy_(weights["prompts"])
    if model := {name.removeprefix("model."): weights[name] for name in weights if name.startswith("model.")}:
        clip.model.load_state_dict(model)
    if "logit_scale" in weights:
        clip.logit_scale.copy_(weights["logit_scale"])
        tower = {name.removeprefix("visual."): weights[name] for name in weights if name.startswith("visual.")}
        clip.vision.visual.load_state_dict(tower)
    return clip


def save_checkpoint(folder: Path, weights: dict[str, torch.Tensor], optimizer: dict, state: RunState) -> None:
    """Write a checkpoint.

    Args:
        optimizer: state dicts of the optimiser and the gradient scaler.
    """
    save_file(weights, folder / WEIGHTS)
    torch.save(optimizer, folder / _OPTIMIZER)
    (folder / _STATE).write_text(json.dumps(asdict(state)))


def load_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], dict, RunState]:
    """Weights, optimiser state and place of a checkpoint."""
    return (
        load_file(folder / WEIGHTS),
        torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True),
        RunState(**json.loads((folder / _STATE).read_text())),
    )

"""The checkpoints that OVSeg published, and those of MaskFormer itself."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.clip import Clip, load_clip
from pipeline.clip.checkpoint_layouts import CLIP_IN_OVSEG, clip_in_ovseg
from pipeline.errors import UserError
from pipeline.proposals.maskformer.architecture import build_network
from pipeline.proposals.maskformer.network import MaskFormerNetwork
from pipeline.proposals.maskformer.weight_names import fill_network
from pipeline.weights.reading import read_tensors


@dataclass(frozen=True)
class OvsegCheckpoint:
    """What an OVSeg checkpoint holds; every weight of the file is in `proposal_model`, in `clip` or in `unused`."""

    path: Path
    proposal_model: MaskFormerNetwork
    """In evaluation mode on the CPU, nothing of it requiring gradients."""
    unused: list[str]
    """Names of tensors that neither model needs: numbers of training, constants of pre-processing, and mask prompts
    that were never trained."""

    @cached_property
    def clip(self) -> Clip:
        """The CLIP that classifies regions, with its mask prompts; built when first asked for.

        Raises:
            UserError: the file holds no CLIP, as those of MaskFormer do not, or an incomplete one.
        """
        return load_clip(None, str(self.path))


def load_ovseg_checkpoint(path: Path) -> OvsegCheckpoint:
    """Read a checkpoint in the layout of the released OVSeg models, detectron2's state dict.

    A checkpoint of MaskFormer without OVSeg's head (facebookresearch/MaskFormer, semantic models) has the same layout.

    Raises:
        UserError: the file cannot be read, or is of another model; the message names its first weights that are
            absent, unknown or of another shape.
    """
    weights = read_tensors(path)
    in_clip = {f"{CLIP_IN_OVSEG}{name}" for name in clip_in_ovseg(weights)}
    of_clip = {name for name in weights if name.startswith(CLIP_IN_OVSEG)}
    rest = {name: tensor for name, tensor in weights.items() if name not in of_clip}
    try:
        network = build_network(rest)
    except KeyError as error:
        raise UserError(
            f"checkpoint {path} is of another model than MaskFormer or OVSeg with a Swin or ResNet backbone: it lacks "
            f"{error.args[0]}, and begins with {', '.join(list(weights)[:3])}"
        ) from None
    except (ValueError, IndexError) as error:
        raise UserError(f"checkpoint {path}: no network has weights of these sizes: {error}") from error
    unused = fill_network(network, rest, path)
    return OvsegCheckpoint(path, network.eval().requires_grad_(False), sorted([*unused, *(of_clip - in_clip)]))

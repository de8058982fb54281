"""CLIP models by open_clip name and tag, `hf-hub:…`, `local-dir:…`, or a checkpoint file."""

import difflib
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file

from pipeline.clip.checkpoint_layouts import PROMPTS_KEY, build_openai_model, read_state_dict
from pipeline.clip.mask_prompts import MaskPromptedVision
from pipeline.clip.model import Clip
from pipeline.clip.model_config import check_model_config, uses_hub_tokenizer
from pipeline.clip.open_clip_weights import load_open_clip_weights
from pipeline.errors import UserError
from pipeline.regions.clip_input import ClipInput
from pipeline.storage.model_addresses import HUB, LOCAL_DIR
from pipeline.weights.autocast import autocast_dtype
from pipeline.weights.fetching import fetch, fetch_folder
from pipeline.weights.precision import Precision
from pipeline.weights.reading import check_archive
from pipeline.weights.remote_code import TRUST, explained, refuse_remote_code
from pipeline.weights.torchscript import StateDict, is_torchscript

PROMPTS_FILE = "mask_prompts.safetensors"
_REASON_LINES, _REASON_LENGTH = 4, 200


def load_clip(
    architecture: str | None,
    weights: str | None = None,
    *,
    mask_prompt_depth: int = 0,
    precision: Precision = "fp32",
    device: str | torch.device = "cpu",
    compiled_batch: int | None = None,
) -> Clip:
    """Load a CLIP with its tokenizer, preprocessing and mask prompts.

    The activation follows the weights: tags that were trained with QuickGELU (OpenAI's, DFN's) get it even where
    the plain architecture name says GELU, which open_clip only warns about. Files in OpenAI's layout (without an
    architecture, or TorchScript archives) and in OVSeg's always get it.

    Args:
        architecture: see `pipeline.clip.config.ClipConfig`.
        weights: see `pipeline.clip.config.ClipConfig`.
        mask_prompt_depth: 0: as many mask prompts as the checkpoint has, `mask_prompts.safetensors` in a
            `local-dir:` or `visual.mask_embedding` in OVSeg's layout; above: as many new ones, drawn from torch's
            global generator, if the checkpoint has none.
        compiled_batch: see `pipeline.clip.model.Clip`.

    Raises:
        UserError: unknown architecture or tag, missing file, a checkpoint of another architecture or with another
            number of mask prompts, or a vision tower that cannot take any.
    """
    if weights and ("://" in weights or weights.startswith(HUB)):
        weights = str(fetch(weights, "clip.weights"))
    if architecture and architecture.startswith(LOCAL_DIR) and "://" in architecture:
        architecture = LOCAL_DIR + str(fetch_folder(architecture.removeprefix(LOCAL_DIR), "clip.architecture"))
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {device} was asked for, but torch sees no GPU")
    pretrained, quick_gelu = _resolve(architecture, weights)
    refuse_remote_code()
    try:
        state_dict = _read_checkpoint(architecture, pretrained)
        if state_dict and pretrained and _has_own_layout(architecture, pretrained, state_dict):
            model, model_cfg, prompts = build_openai_model(state_dict)
            _check_sizes(model_cfg, architecture)
            tokenizer = open_clip.SimpleTokenizer(context_length=model_cfg["text_cfg"]["context_length"])
        else:
            if architecture is None:  # weights of big_vision, which open_clip reads, but not without it
                raise _no_architecture(weights)
            if pretrained is None:
                check_model_config(architecture)
                _check_archives(architecture)
            if state_dict:
                model, model_cfg, prompts = load_open_clip_weights(architecture, state_dict)
            else:
                model, model_cfg, prompts = _build(architecture, pretrained, quick_gelu, random=weights == "random")
            tokenizer = open_clip.get_tokenizer(architecture, **(TRUST if uses_hub_tokenizer(model_cfg) else {}))
        vision = _with_prompts(model.visual, prompts, mask_prompt_depth)
    except UserError:
        raise
    except Exception as error:  # open_clip and torch raise many kinds, all about the given name or file
        raise UserError(
            f"clip.architecture {architecture!r} with clip.weights {weights!r} cannot be loaded: {_reason(error)}"
        ) from error
    settings = PreprocessCfg(**model.visual.preprocess_cfg)
    return Clip(
        model=model.eval().requires_grad_(False).to(device),
        vision=vision.eval().requires_grad_(False).to(device),
        model_cfg=model_cfg,
        tokenizer=tokenizer,
        preprocess=image_transform_v2(settings, is_train=False),
        device=device,
        autocast_dtype=autocast_dtype(precision, device),
        input=ClipInput(
            settings.size if isinstance(settings.size, int) else settings.size[0],
            tuple(settings.mean),
            tuple(settings.std),
        ),
        compiled_batch=compiled_batch,
    )


def _resolve(architecture: str | None, weights: str | None) -> tuple[str | None, bool]:
    """What to pass to open_clip as `pretrained`, and whether the weights want QuickGELU."""
    if architecture is None:
        if weights is None or not Path(weights).is_file():
            raise _no_architecture(weights)
        return weights, True
    if architecture.startswith((HUB, LOCAL_DIR)):
        if weights not in (None, "random"):
            raise UserError(
                f"clip.architecture {architecture!r} brings its own weights: remove clip.weights ({weights!r})"
            )
        return None, False
    known = open_clip.list_models()
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known, n=3) or sorted(known)[:3]
        raise UserError(
            f"clip.architecture {architecture!r} is not an open_clip model; close to it: {', '.join(close)}"
        )
    if weights is None:
        raise UserError(
            f"clip.weights is empty for {architecture!r}: give a tag of open_clip.list_pretrained(), "
            "a checkpoint file, or `random` for a trial"
        )
    if weights == "random":
        return None, False
    tag = open_clip.get_pretrained_cfg(architecture, weights)
    if tag:
        return weights, bool(tag.get("quick_gelu", False))
    if not Path(weights).is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise UserError(f"clip.weights {weights!r} is neither a file nor a tag of {architecture} (tags: {tags})")
    return weights, False


def _no_architecture(weights: str | None) -> UserError:
    return UserError(
        f"clip.architecture is empty, so clip.weights must be a file in OpenAI's or OVSeg's layout; it is {weights!r}"
    )


def _read_checkpoint(architecture: str | None, pretrained: str | None) -> StateDict | None:
    """The weights in a file of the user's; None for a tag, and for weights of big_vision, which open_clip converts."""
    if not pretrained:
        return None
    if Path(pretrained).suffix in (".npz", ".npy"):
        check_archive(Path(pretrained))
        return None
    if architecture and open_clip.get_pretrained_cfg(architecture, pretrained):
        return None
    return read_state_dict(Path(pretrained))


def _check_archives(architecture: str) -> None:
    """Look at the checkpoints that open_clip may read in a directory."""
    if architecture.startswith(LOCAL_DIR):
        for path in Path(architecture.removeprefix(LOCAL_DIR)).glob("*"):
            if path.suffix in (".bin", ".pth"):
                check_archive(path)


def _has_own_layout(architecture: str | None, pretrained: str, state_dict: StateDict) -> bool:
    """Whether a model is built from the shapes in its checkpoint rather than by open_clip."""
    return architecture is None or is_torchscript(Path(pretrained)) or PROMPTS_KEY in state_dict


def _check_sizes(model_cfg: dict[str, Any], architecture: str | None) -> None:
    """Refuse a checkpoint whose sizes are not those of the architecture that was named beside it."""
    if architecture is None:
        return
    named = open_clip.get_model_config(architecture)
    for part in (None, "vision_cfg", "text_cfg"):
        found, expected = (cfg if part is None else cfg[part] for cfg in (model_cfg, named))
        for key in sorted(found.keys() & expected.keys() - {"vision_cfg", "text_cfg", "quick_gelu"}):
            if found[key] != expected[key]:
                raise UserError(
                    f"clip.weights is of another architecture than clip.architecture {architecture!r}: "
                    f"{f'{part}.' if part else ''}{key} is {found[key]}, not {expected[key]}; leave clip.architecture "
                    "empty to take the sizes from the file"
                )


def _build(
    architecture: str, pretrained: str | None, quick_gelu: bool, *, random: bool
) -> tuple[torch.nn.Module, dict[str, Any], torch.Tensor | None]:
    """A model by open_clip, its configuration, and the mask prompts that lie beside its weights."""
    if random:
        torch.manual_seed(0)
    model = open_clip.create_model(
        architecture,
        pretrained=pretrained,
        force_quick_gelu=quick_gelu,
        load_weights=not random,
        pretrained_text=False,  # weights of a text tower from elsewhere, where the model's own are missing
        require_pretrained=not random,
    )
    model_cfg = open_clip.get_model_config(architecture)
    if quick_gelu:
        model_cfg["quick_gelu"] = True
    prompts_file = Path(architecture.removeprefix(LOCAL_DIR)) / PROMPTS_FILE
    if random or not architecture.startswith(LOCAL_DIR) or not prompts_file.is_file():
        return model, model_cfg, None
    return model, model_cfg, load_file(prompts_file)["prompts"]


def _with_prompts(visual: torch.nn.Module, prompts: torch.Tensor | None, depth: int) -> MaskPromptedVision:
    """A tower with the mask prompts of its checkpoint, [depth,N,W] or [depth,1,W], or with `depth` new ones."""
    if prompts is None:
        return MaskPromptedVision(visual, depth)
    if prompts.ndim != 3:
        raise UserError(f"the checkpoint's mask prompts must have 3 axes (depth, patches, width), have {prompts.ndim}")
    if depth not in (0, len(prompts)):
        raise UserError(
            f"mask_prompt_depth is {depth}, but the checkpoint has mask prompts of depth {len(prompts)}: "
            f"set it to {len(prompts)}, or to 0 for what the checkpoint has"
        )
    vision = MaskPromptedVision(visual, len(prompts))
    _, patches, width = vision.prompts.shape
    if prompts.shape[1] not in (1, patches) or prompts.shape[2] != width:
        raise UserError(
            f"the checkpoint's mask prompts are for {prompts.shape[1]} patches of width {prompts.shape[2]}, "
            f"but its vision tower has {patches} of width {width}"
        )
    with torch.no_grad():
        vision.prompts.copy_(prompts)
    return vision


def _reason(error: Exception) -> str:
    """What an error says, in one line: torch lists the weights that do not fit in the lines after the first."""
    lines = [line.strip() for line in explained(error).strip().splitlines()][:_REASON_LINES]
    if isinstance(error, KeyError):
        lines = [f"it has no weight {lines[0]}"]
    return " ".join(line[:_REASON_LENGTH] for line in lines) or type(error).__name__

"""CLIP models by open_clip name and tag, `hf-hub:…`, `local-dir:…`, or a local checkpoint file."""

import contextlib
import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
from open_clip.model import get_model_preprocess_cfg

from pipeline.clip.templates import TemplateSet
from pipeline.errors import UserError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass
class ClipConfig:
    """Which CLIP scores regions against nouns, and how."""

    architecture: str = "ViT-B-16"
    """open_clip model name, or `hf-hub:org/repo`, or `local-dir:/path` (then `weights` stays empty)."""
    weights: str | None = "openai"
    """open_clip tag, path of a checkpoint (.pt, .bin, .safetensors), or `random` (seeded; for trials)."""
    templates: TemplateSet = "vild"
    """Prompt templates of the text embeddings: none, photo (1), vild (14), imagenet (80)."""
    precision: Precision = "auto"
    """auto: fp16 autocast on a GPU, fp32 on the CPU."""
    batch_size: int = 256
    """Regions per forward pass, gathered across images."""
    threads: int = 1
    """CPU threads of one worker. Results are bit-identical only for the same number."""


@dataclass(frozen=True)
class Clip:
    """A loaded CLIP in evaluation mode.

    `vision` takes pixels [B,3,S,S] and `text` token ids [B,L]; both give embeddings [B,D].
    """

    model: torch.nn.Module
    tokenizer: Callable[[list[str]], torch.Tensor]
    preprocess: Callable[[Any], torch.Tensor]
    device: torch.device
    autocast_dtype: torch.dtype | None
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def vision(self) -> torch.nn.Module:
        return self.model.visual

    @property
    def text(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return self.model.encode_text

    @property
    def logit_scale(self) -> torch.Tensor:
        return self.model.logit_scale

    def autocast(self) -> contextlib.AbstractContextManager:
        """The context in which both towers run."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def weights_sha256(self) -> str:
        """Hash over the names, shapes and bytes of all weights, whatever file they came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def load_clip(
    architecture: str,
    weights: str | None = None,
    *,
    precision: Precision = "fp32",
    device: str | torch.device = "cpu",
) -> Clip:
    """Load a CLIP with its tokenizer and preprocessing.

    The activation follows the weights: tags that were trained with QuickGELU (OpenAI's, DFN's) get it even where
    the plain architecture name says GELU, which open_clip only warns about.

    Raises:
        UserError: unknown architecture or tag, missing file, or a checkpoint of another architecture.
    """
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {device} was asked for, but torch sees no GPU")
    with_schema = architecture.startswith(("hf-hub:", "local-dir:"))
    pretrained, quick_gelu = _resolve(architecture, weights, with_schema)
    try:
        if weights == "random":
            torch.manual_seed(0)
        model, _, preprocess = open_clip.create_model_and_transforms(
            architecture,
            pretrained=pretrained,
            force_quick_gelu=quick_gelu,
            device=device,
            load_weights=weights != "random",
        )
    except Exception as error:  # open_clip and torch raise many kinds, all about the given name or file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"clip.architecture {architecture!r} with clip.weights {weights!r} cannot be loaded: {reason}"
        ) from error
    settings = get_model_preprocess_cfg(model)
    size = settings["size"]
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}.get(
        precision, torch.float16 if device.type == "cuda" else None
    )
    return Clip(
        model=model.eval().requires_grad_(False),
        tokenizer=open_clip.get_tokenizer(architecture),
        preprocess=preprocess,
        device=device,
        autocast_dtype=dtype,
        image_size=size if isinstance(size, int) else size[0],
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )


def _resolve(architecture: str, weights: str | None, with_schema: bool) -> tuple[str | None, bool]:
    """What to pass to open_clip as `pretrained`, and whether the weights want QuickGELU."""
    if with_schema:
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

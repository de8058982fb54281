"""Models that `transformers` saved, loaded strictly: every weight in its place, none made up."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BaseImageProcessor,
    BatchFeature,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.image_transforms import get_size_with_aspect_ratio

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.weights import fetching
from pipeline.weights.remote_code import TRUST, explained, refuse_remote_code

_NAMES_SHOWN = 3
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt")


@dataclass(frozen=True)
class Pretrained:
    """A model and what belongs to it."""

    model: PreTrainedModel
    """float32, on the CPU, in evaluation mode, nothing requiring gradients."""
    processor: BaseImageProcessor
    """What the model's preprocessor_config.json describes."""
    sha256: str
    """Of the files of the directory."""
    tokenizer: PreTrainedTokenizerBase | None = None
    """If it was asked for."""

    def preprocess_within_edges(self, images: Sequence[np.ndarray], device: torch.device) -> BatchFeature:
        """As `preprocess`, by a processor that may bring the shorter side to a length: no side becomes 0."""
        size = self.processor.size
        if size.shortest_edge and size.longest_edge:
            target = get_size_with_aspect_ratio(images[0].shape[:2], size.shortest_edge, size.longest_edge)
            if 0 in target:  # where the processor would round the shorter side of a narrow strip to nothing
                height, width = (max(1, side) for side in target)
                return self.preprocess(images, device, size={"height": height, "width": width})
        return self.preprocess(images, device)

    def preprocess(self, images: Sequence[np.ndarray], device: torch.device, **options: Any) -> BatchFeature:
        """What the image processor makes of images of one size, on `device`: `pixel_values` [B,3,h,w] and more.

        Args:
            images: uint8 [H, W, 3] RGB.
            options: of the processor, where they shall not be as its file says.
        """
        # Copied, as decoded images are read-only and transformers takes them as they are. Told where the channels are,
        # because an image 1 or 3 pixels high reads as one that has them in front.
        copied = list(torch.from_numpy(np.stack(images)))
        return self.processor(copied, input_data_format="channels_last", return_tensors="pt", device=device, **options)


def load_pretrained(
    uri: str | None,
    key: str,
    kind: type[PreTrainedModel],
    supersets: Sequence[str] = (),
    *,
    tokenizer: bool = False,
) -> Pretrained:
    """Load a model with its image processor.

    Args:
        uri: see `pipeline.weights.fetching.fetch_model`.
        key: of the configuration, for messages.
        kind: the class of the model.
        supersets: types of models, as config.json names them, that contain a model of this kind; what more they have
            is left out.
        tokenizer: load it, too.

    Raises:
        UserError: no URI, nothing there, a model of another kind, or weights that are not those of the model that the
            configuration beside them describes.
    """
    expected = kind.config_class.model_type
    if not uri:
        raise UserError(f"{key} is empty: give a directory with a model of type {expected}, or hf-hub:org/repo")
    folder = fetching.fetch_model(uri, key, vocabulary=tokenizer)
    _check_config(folder, f"{key}: {uri}", (expected, *supersets))
    refuse_remote_code()
    try:
        processor = AutoImageProcessor.from_pretrained(folder, **TRUST)
        model, report = kind.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **TRUST
        )
        words = _load_tokenizer(folder, model) if tokenizer else None
    except Exception as error:  # transformers raises many kinds, all about what is in the directory
        raise UserError(f"{key}: {uri} cannot be loaded: {_first_line(error)}") from error
    if differences := _differences(model, report):
        raise UserError(
            f"{key}: {uri} holds other weights than those of the model in its config.json: {'; '.join(differences)}"
        )
    return Pretrained(model.eval().requires_grad_(False), processor, fetching.sha256(folder), words)


def _load_tokenizer(folder: Path, model: PreTrainedModel) -> PreTrainedTokenizerBase:
    if not any((folder / name).is_file() for name in _VOCABULARIES):  # transformers would make one of nothing up
        raise ValueError(f"it holds no vocabulary of its tokenizer ({', '.join(_VOCABULARIES)})")
    found = AutoTokenizer.from_pretrained(folder, **TRUST)
    known = model.config.text_config.vocab_size
    if len(found) > known:
        raise ValueError(f"its tokenizer has {len(found)} tokens, its model {known}")
    return found


def _check_config(folder: Path, what: str, expected: Sequence[str]) -> None:
    """Refuse a model of another type, and one that says to take a part from elsewhere."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{what}: its config.json is not a JSON object: {_first_line(error)}") from error
    if found not in expected:
        raise UserError(f"{what} is a model of type {found!r}; this backend takes {' or '.join(map(repr, expected))}")
    for key, name in _named(config):
        # timm and transformers would fetch it from there; of attention, that is machine code.
        if not isinstance(name, str) or "/" in name or ":" in name:
            what_it_is = "backbone" if key == "backbone" else "implementation"
            raise UserError(
                f"{what}: its config.json names the {what_it_is} {name!r:.200}, which lies elsewhere; a backbone has "
                "to be described in backbone_config, as save_pretrained of transformers writes it, and an "
                "implementation of attention to be one of transformers"
            )


def _named(config: Any) -> Iterator[tuple[str, Any]]:
    """What a configuration takes by a name, anywhere in it: backbones, and implementations of parts."""
    if isinstance(config, dict):
        for key, value in config.items():
            if value and key == "backbone":
                yield key, value
            elif key.strip("_").startswith(("attn_implementation", "experts_implementation")):
                values = value.values() if isinstance(value, dict) else [value]  # of its parts
                yield from ((key, name) for name in values if name is not None)
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _named(value)


def _differences(model: PreTrainedModel, report: dict) -> list[str]:
    """What keeps a checkpoint from being the whole model and nothing else, a phrase each."""
    saved = model.state_dict()
    computed = {name.rpartition(".")[2] for name, _ in model.named_buffers() if name not in saved}
    found = {
        "of another shape": [
            f"{name} {list(old)} instead of {list(new)}" for name, old, new in report["mismatched_keys"]
        ],
        # Weights of the loss, which no mask depends on: some save them, others don't.
        "missing": [name for name in report["missing_keys"] if not name.startswith("criterion.")],
        # Older versions of transformers saved tables that newer ones compute.
        "not in the model": [name for name in report["unexpected_keys"] if name.rpartition(".")[2] not in computed],
    }
    return [f"{what}: {first_of(sorted(names), _NAMES_SHOWN)}" for what, names in found.items() if names]


def _first_line(error: Exception) -> str:
    return (explained(error).strip().splitlines() or [type(error).__name__])[0]

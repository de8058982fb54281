"""Writing a CLIP as a directory that open_clip loads with `local-dir:…`."""

import errno
import json
from pathlib import Path

import torch
from open_clip.tokenizer import HFTokenizer
from safetensors import SafetensorError
from safetensors.torch import save_file

from pipeline.clip.loading import PROMPTS_FILE
from pipeline.clip.model import Clip


def save_clip(clip: Clip, folder: Path) -> None:
    """Write configuration, weights, mask prompts and the files of a Hugging Face tokenizer; the same bytes every time.

    `open_clip.create_model_and_transforms("local-dir:FOLDER")` and `open_clip.get_tokenizer` load the directory
    without this package, and then ignore `mask_prompts.safetensors` ({"prompts": [depth,N,W]}); `load_clip` uses it.
    A text tower of Hugging Face keeps its name in the configuration, so its configuration comes from there on loading.

    Args:
        folder: created if it is not there; what an earlier CLIP left in it is replaced.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": clip.model_cfg, "preprocess_cfg": clip.model.get_submodule("visual").preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in clip.model.state_dict().items()}
    _save(weights, folder / "open_clip_model.safetensors")
    if clip.vision.depth:
        _save({"prompts": clip.vision.prompts.detach().cpu()}, folder / PROMPTS_FILE)
    else:
        (folder / PROMPTS_FILE).unlink(missing_ok=True)
    if isinstance(clip.tokenizer, HFTokenizer):
        clip.tokenizer.save_pretrained(folder)


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # of whole tensors: the disk is full, say
        raise OSError(errno.EIO, str(error), str(path)) from error

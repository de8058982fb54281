"""A CLIP small enough to be pretrained in minutes: untrained, as jobs.train takes it."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

_CONFIG: dict[str, Any] = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": 48, "patch_size": 8, "layers": 4, "width": 96, "head_width": 32},
    # 20 tokens hold the longest `vild` prompt and the longest caption of a scene.
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 96, "heads": 3, "layers": 2},
}


def write_untrained_clip(folder: Path, seed: int = 0) -> None:
    """Write an untrained CLIP as an open_clip `local-dir:`.

    Its position embedding begins with sines and cosines of the position (Vaswani et al. 2017) instead of noise, which
    spares a small tower the many steps of finding out which patches are neighbours.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**_CONFIG)
    vision = _CONFIG["vision_cfg"]
    with torch.no_grad():
        model.visual.positional_embedding[1:] = 0.3 * _sines(
            vision["image_size"] // vision["patch_size"], vision["width"]
        )
        model.visual.positional_embedding[0] = 0
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": _CONFIG, "preprocess_cfg": {"size": vision["image_size"]}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def _sines(grid: int, width: int) -> torch.Tensor:
    """Sines and cosines of row and column at geometric frequencies, float32 [grid², width]."""
    frequencies = 100 ** -(torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    phases = [position.flatten()[:, None] * frequencies for position in (rows, columns)]
    return torch.cat([wave(phase) for phase in phases for wave in (torch.sin, torch.cos)], dim=1)

"""A small CLIP, built and trained on the spot on the masked regions of a made-up world."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import save_file

from pipeline import masks as rle
from pipeline.clip.templates import TEMPLATES
from pipeline.regions import masked_regions

MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 96, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}


def build_small_clip(world: Path, folder: Path, steps: int = 300, seed: int = 0) -> None:
    """Train the model on the regions of `world` and write it as an open_clip `local-dir:`.

    It learns to tell the masked regions (mean fill, as mining makes them) by their nouns under the `vild` templates.

    Args:
        world: folder written by `write_world`.
        folder: gets `open_clip_config.json` and `open_clip_model.safetensors`.
        steps: batches of 64 regions.
    """
    pixels_R3SS, labels_R, nouns = _regions(world)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**MODEL)
    tokenizer = open_clip.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    tokens_TNL = torch.stack([tokenizer([template.format(noun) for noun in nouns]) for template in TEMPLATES["vild"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
    for step in range(steps):
        batch = torch.randint(len(pixels_R3SS), (64,))
        images_BD = model.encode_image(pixels_R3SS[batch], normalize=True)
        nouns_ND = model.encode_text(tokens_TNL[step % len(tokens_TNL)], normalize=True)
        loss = F.cross_entropy(model.logit_scale.exp() * images_BD @ nouns_ND.T, labels_R[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"size": MODEL["vision_cfg"]["image_size"]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": preprocess}))


def _regions(world: Path) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """All masked regions of a world: pixels [R,3,S,S], labels [R], and the nouns that the labels count."""
    instances = json.loads((world / "instances.json").read_text())
    per_image = defaultdict(list)
    for annotation in instances["annotations"]:
        per_image[annotation["image_id"]].append(annotation)
    pixels, labels = [], []
    for image in instances["images"]:
        annotations = per_image[image["id"]]
        counts = [annotation["segmentation"]["counts"].encode() for annotation in annotations]
        masks_KHW = torch.from_numpy(rle.decode(counts, image["height"], image["width"]))
        with Image.open(world / "images" / image["file_name"]) as opened:
            image_3HW = torch.from_numpy(np.array(opened)).permute(2, 0, 1)
        regions, _, valid_K, _ = masked_regions(image_3HW, masks_KHW.bool(), size=MODEL["vision_cfg"]["image_size"])
        pixels.append(regions)
        labels.extend(
            annotation["category_id"] - 1 for annotation, valid in zip(annotations, valid_K, strict=True) if valid
        )
    return torch.cat(pixels), torch.tensor(labels), [category["name"] for category in instances["categories"]]

"""A small CLIP, built and trained on the spot on annotated regions: it knows their names and nothing else."""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import save_file

from pipeline.clip.templates import TEMPLATES
from pipeline.proposals.ground_truth import all_annotated
from pipeline.regions import masked_regions

_CONTEXT_LENGTH = 20  # the longest `vild` prompt of a short noun
_BATCH = 64


def build_small_clip(
    annotations: Path, images: Path, folder: Path, *, image_size: int = 32, steps: int = 300, seed: int = 0
) -> None:
    """Train a model on the regions of a COCO dataset and write it as an open_clip `local-dir:`.

    It learns to tell the masked regions (mean fill, as mining makes them) by their category names under the `vild`
    templates.

    Args:
        annotations: COCO instances JSON.
        images: folder of the images.
        folder: gets `open_clip_config.json` and `open_clip_model.safetensors`.
        image_size: input side, px; always 16 patches.
        steps: batches of 64 regions.
    """
    model_config = {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": image_size, "patch_size": image_size // 4, "layers": 3, "width": 96, "head_width": 32,
        },
        "text_cfg": {"context_length": _CONTEXT_LENGTH, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    }  # fmt: skip
    pixels_R3SS, names = _regions(annotations, images, image_size)
    nouns = sorted(set(names))
    labels_R = torch.tensor([nouns.index(name) for name in names])
    torch.manual_seed(seed)
    model = open_clip.CLIP(**model_config)
    tokenizer = open_clip.SimpleTokenizer(context_length=_CONTEXT_LENGTH)
    tokens_TNL = torch.stack([tokenizer([template.format(noun) for noun in nouns]) for template in TEMPLATES["vild"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
    for step in range(steps):
        batch = torch.randint(len(pixels_R3SS), (_BATCH,))
        images_BD = model.encode_image(pixels_R3SS[batch], normalize=True)
        nouns_ND = model.encode_text(tokens_TNL[step % len(tokens_TNL)], normalize=True)
        loss = F.cross_entropy(model.logit_scale.exp() * images_BD @ nouns_ND.T, labels_R[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": model_config, "preprocess_cfg": {"size": image_size}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def _regions(annotations: Path, images: Path, image_size: int) -> tuple[torch.Tensor, list[str]]:
    """All annotated regions: pixels [R,3,S,S] and the category name of each."""
    truth = all_annotated(str(annotations))
    pixels, names = [], []
    for image in json.loads(annotations.read_text())["images"]:
        categories = truth.categories(str(image["id"]))
        if not categories:
            continue
        with Image.open(images / image["file_name"]) as opened:
            image_HW3 = np.array(opened.convert("RGB"))
        [objects] = truth.propose([image_HW3], [str(image["id"])])
        masks_KHW = torch.from_numpy(objects.masks.decode()).bool()
        regions, *_ = masked_regions(torch.from_numpy(image_HW3).permute(2, 0, 1), masks_KHW, size=image_size)
        pixels.append(regions)
        names.extend(categories)
    return torch.cat(pixels), names

"""Prompts per second of the text tower on one core: each prompt padded to the context as open_clip runs it, against
`TextEmbedder`, which encodes the tokens that are used.

    python -m tests.benchmarks.text [--nouns 24] [--architecture ViT-B-32] [--templates vild] [--repeats 2]

The weights are random: they do not change what there is to compute. The best run of each counts.
"""

import argparse
import os
import time

# Before numpy and torch are loaded: one process is to stand for one core.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip import Clip, TextEmbedder, load_clip
from pipeline.clip.templates import TEMPLATES

NOUNS = [
    "dog", "fire hydrant", "tennis racket", "man", "double decker bus", "cat", "street", "wine glass", "stop sign",
    "giraffe", "teddy bear", "kitchen", "skateboard", "baseball player", "umbrella", "parking meter", "pizza", "train",
    "dining room table", "bathroom", "graffiti", "surfboard", "boy", "traffic light",
]  # fmt: skip
TEXTS_PER_PASS = 252  # 18 nouns with 14 templates


@torch.inference_mode()
def padded(clip: Clip, texts: list[str], templates: int) -> torch.Tensor:
    features = [
        clip.model.encode_text(clip.tokenizer(texts[start : start + TEXTS_PER_PASS]))
        for start in range(0, len(texts), TEXTS_PER_PASS)
    ]
    features_NTD = F.normalize(torch.cat(features), dim=-1).unflatten(0, (-1, templates))
    return F.normalize(features_NTD.mean(dim=1), dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nouns", type=int, default=24)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--templates", default="vild", choices=sorted(TEMPLATES))
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    clip = load_clip(args.architecture, "random")
    templates = TEMPLATES[args.templates]
    nouns = [NOUNS[number % len(NOUNS)] + " " * (number // len(NOUNS)) for number in range(args.nouns)]
    texts = [template.format(noun) for noun in nouns for template in templates]

    seconds: dict[str, float] = {}
    for _ in range(args.repeats):
        began = time.perf_counter()
        expected_ND = padded(clip, texts, len(templates))
        between = time.perf_counter()
        found_ND = TextEmbedder(clip, args.templates)(nouns)
        ended = time.perf_counter()
        for name, spent in (("padded", between - began), ("cut", ended - between)):
            seconds[name] = min(spent, seconds.get(name, spent))
    difference = (expected_ND - found_ND).abs().max().item()
    print(f"{args.architecture}, {len(nouns)} nouns, {len(templates)} templates, {len(texts)} prompts, one core")
    print(f"padded to the context, prompts/s   {len(texts) / seconds['padded']:8.1f}")
    print(f"tokens that are used, prompts/s    {len(texts) / seconds['cut']:8.1f}")
    print(f"ratio                              {seconds['padded'] / seconds['cut']:8.2f}")
    print(f"largest difference                 {difference:8.1e}")


if __name__ == "__main__":
    main()

"""Backends that are asked by name against the library's own models.

python -m tests.benchmarks.prompted_backends [--backends sam3 grounding_dino owlv2] [--scale tiny|base] [--images 4]
    [--names 8] [--answers 20] [--coco folder]

The models have random weights. `--answers` of the queries of SAM 3 pass the threshold in the first image, and as many
boxes of the others are cut out in each. "Bare" is a loop over images and names in batches of the backend's size that
calls the models of `transformers` on ready tensors and waits for the result: of SAM 3 the image's features once and
then the names; of Grounding DINO the whole model, which encodes the image with each batch of names; of OWLv2 all names
at once; and of the last two, SAM 2 once for the image and then for as many boxes as the backend cut out. "Backend" is
`propose_named`: from decoded images to run-length codes, with tokenizing, resizing, thresholds and the choice of masks.
Both run in this process, in turn. The target is a ratio of 0.95 between their times. `--scale base` has the sizes of
the published models.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    PreTrainedModel,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
)

from pipeline.images import decode_jpeg
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.box_masks import NamedBoxes
from pipeline.proposals.networks import autocast, device
from pipeline.proposals.sam3 import _repeated
from tests.benchmarks.backends import timed
from tests.benchmarks.regions import make_images
from tests.proposals.tiny_prompted import WORDS, bert_tokenizer, clip_tokenizer

CONTEXT = {"sam3": 32, "owlv2": 16}
SMALL_VIT = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}


def sam3(scale: str, folder: Path) -> PreTrainedModel:
    config = Sam3Config()
    if scale == "tiny":
        config.vision_config.backbone_config.update(SMALL_VIT | {"global_attn_indexes": [3]})
        config.text_config.update(SMALL_VIT | {"projection_dim": 256})
    Sam3ImageProcessor().save_pretrained(folder)
    clip_tokenizer(CONTEXT["sam3"]).save_pretrained(folder)
    return Sam3Model(config)


def grounding_dino(scale: str, folder: Path) -> PreTrainedModel:
    config = GroundingDinoConfig()
    if scale == "tiny":
        config.update({"encoder_layers": 2, "decoder_layers": 2})
        config.text_config.update(SMALL_VIT | {"vocab_size": 1100})
    GroundingDinoImageProcessor().save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return GroundingDinoForObjectDetection(config)


def owlv2(scale: str, folder: Path) -> PreTrainedModel:
    config = Owlv2Config()
    config.vision_config.update({"image_size": 960})
    if scale == "tiny":
        config.vision_config.update(SMALL_VIT)
        config.text_config.update(SMALL_VIT)
        config.update({"projection_dim": 256})
    Owlv2ImageProcessor().save_pretrained(folder)
    clip_tokenizer(CONTEXT["owlv2"]).save_pretrained(folder)
    return Owlv2ForObjectDetection(config)


MODELS = {"sam3": sam3, "grounding_dino": grounding_dino, "owlv2": owlv2}


@torch.inference_mode()
def bare(
    proposer: Any, backend: str, pixels: torch.Tensor, words: dict[str, torch.Tensor], size: int, boxes: int
) -> None:
    """The library's models on one image, waiting for the result.

    Args:
        size: names together.
        boxes: that SAM 2 cuts out.
    """
    model = proposer._model
    starts = range(0, len(words["input_ids"]), size)
    batches = [{key: value[start : start + size] for key, value in words.items()} for start in starts]
    with autocast(proposer._config.precision, pixels.device):
        if backend == "sam3":
            levels = model.get_vision_features(pixel_values=pixels)
            for some in batches:
                levels_T = _repeated(levels, 0, len(some["input_ids"]))
                model(vision_embeds=levels_T, **some).pred_masks.float().sum().item()
            return
        if backend == "owlv2":
            model(pixel_values=pixels, **words).logits.float().sum().item()
        else:
            once, model.model.backbone = model.model.backbone, model.model.backbone.backbone  # as the library has it
            for some in batches:
                repeated = pixels.expand(len(some["input_ids"]), *pixels.shape[1:])
                model(pixel_values=repeated, **some).logits.float().sum().item()
            model.model.backbone = once
        cutter = proposer._masks._model
        levels = cutter.get_image_embeddings(torch.randn(1, 3, 1024, 1024, device=pixels.device))
        for some in torch.tensor([[100.0, 100, 600, 700]], device=pixels.device).expand(boxes, 4).split(64):
            masks = cutter(image_embeddings=levels, input_boxes=some[None], multimask_output=False).pred_masks
            masks.float().sum().item()


def measure(backend: str, scale: str, images: list[np.ndarray], names: list[str], answers: int) -> None:
    """Print images/s of both, in three rounds, and the median ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        MODELS[backend](scale, folder / "model").eval().save_pretrained(folder / "model")
        options: dict[str, Any] = {"weights": str(folder / "model"), "threshold": 0.0}
        if backend != "sam3":
            Sam2Model(Sam2Config()).save_pretrained(folder / "sam2")
            Sam2ImageProcessor().save_pretrained(folder / "sam2")
            options["sam2_weights"] = str(folder / "sam2")
        config = ProposalsConfig(backend, options, min_area=0, max_area=1, max_iou=1, max_proposals=10**6, batch_size=1)
        proposer: Any = load_proposer(config)
    if backend == "sam3":
        [every] = proposer.propose_named(images[:1], [""], [names])
        scores = sorted((score for of in every.proposals.prompts for score in of.values()), reverse=True)
        proposer._options.threshold = scores[min(answers, len(scores) - 1)]
    else:  # of random weights, hundreds of boxes have the score 1
        proposer._options.threshold = 0.999
        cut = proposer._masks.masks
        proposer._masks.masks = lambda images, boxes: cut(
            images, [NamedBoxes(of.boxes[:answers], of.prompts[:answers]) for of in boxes]
        )
    proposer._config = ProposalsConfig(backend, options, batch_size=1)
    whole_config = {"return_tensors": "pt", "padding": True}
    if backend != "grounding_dino":
        whole_config |= {"padding": "max_length", "max_length": CONTEXT[backend]}
    texts = [f"{name}." for name in names] if backend == "grounding_dino" else names
    words = {
        key: value.to(device())
        for key, value in proposer._tokenizer(texts, **whole_config).items()
        if key in ("input_ids", "attention_mask")
    }
    ready = [proposer._pretrained.preprocess([image], device()).pixel_values for image in images]
    boxes: list[int] = []
    if backend != "sam3":
        proposer._masks._model.prompt_encoder.register_forward_hook(
            lambda module, args, kwargs, output: boxes.append(kwargs["input_boxes"].shape[1]), with_kwargs=True
        )
    size = proposer._names.size

    def whole() -> None:
        for image in images:
            proposer.propose_named([image], [""], [names])

    whole()
    cut_out = round(sum(boxes) / len(images))

    def alone() -> None:
        for pixels in ready:
            bare(proposer, backend, pixels, words, size, cut_out)

    alone()
    parameters = sum(parameter.numel() for parameter in proposer._model.parameters()) / 1e6
    print(f"{backend} {scale}, {parameters:.0f} M parameters, {len(names)} names, {cut_out} boxes an image")
    ratios = []
    for _ in range(3):
        seconds = [timed(run) / len(images) for run in (alone, whole)]
        ratios.append(seconds[0] / seconds[1])
        print(f"bare {1 / seconds[0]:.3f} images/s, backend {1 / seconds[1]:.3f}, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {sorted(ratios)[1]:.3f} (target 0.95)\n")


def main() -> None:
    """Measure every backend asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--scale", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--names", type=int, default=8)
    parser.add_argument("--answers", type=int, default=20, help="of the first image")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--coco", type=Path, help="folder with images/*.jpg; without it, made-up images")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.coco:
        paths = sorted(options.coco.glob("images/*.jpg"))
        photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        images = [photo for photo in photos if photo.shape == (480, 640, 3)][: options.images]
    else:
        images = [decode_jpeg(jpeg)[:480, :640] for jpeg, _ in make_images(options.images, proposals=0)]
    names = [f"{first} {second}" for first in WORDS for second in WORDS][: options.names]
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {options.threads} thread(s)"
    print(f"{where}, {len(images)} images of {images[0].shape[1]}×{images[0].shape[0]}")
    for backend in options.backends:
        measure(backend, options.scale, images, names, options.answers)


if __name__ == "__main__":
    main()

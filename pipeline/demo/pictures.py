"""Test scenes before and after: image, truth, untouched CLIP, adapted CLIP, side by side."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import UNTOUCHED, Variant
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, SegmentationDataset, open_dataset
from pipeline.images import open_image
from pipeline.segmentation.drawing import overlay_jpeg
from pipeline.segmentation.loading import load_segmenter

_SCENES = 6
_PANEL_HEIGHT = 300
_TITLE_HEIGHT = 30


def draw_pictures(runs: DemoRuns, variant: Variant) -> list[Path]:
    """Write one PNG for each of the first scenes of the test world (not the best ones); returns their paths."""
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(runs.folder / "test-world")))
    folder = runs.folder / "pictures"
    folder.mkdir(exist_ok=True)
    image_ids = sorted(dataset.image_ids, key=int)[:_SCENES]
    samples = [dataset.read(image_id) for image_id in image_ids]
    images = [sample.image for sample in samples]
    maps = [_label_maps(runs, name, dataset, images) for name in (UNTOUCHED, variant.name)]
    paths = []
    for image_id, sample, before, after in zip(image_ids, samples, *maps, strict=True):
        panels = [
            ("image", Image.fromarray(sample.image).resize((_PANEL_HEIGHT, _PANEL_HEIGHT), Image.Resampling.NEAREST))
        ]
        for title, labels in (("truth", sample.labels), ("untouched CLIP", before), (variant.title, after)):
            overlay = open_image(overlay_jpeg(sample.image, labels, dataset.classes), ("JPEG",))
            panel = overlay.resize((overlay.width * _PANEL_HEIGHT // overlay.height, _PANEL_HEIGHT))
            if title != "truth":
                title = f"{title}: {_accuracy(labels, sample.labels):.0%} of the pixels"
            panels.append((title, panel))
        paths.append(folder / f"{image_id}.png")
        _side_by_side(panels).save(paths[-1])
    return paths


def _label_maps(runs: DemoRuns, name: str, dataset: SegmentationDataset, images: list[np.ndarray]) -> list[np.ndarray]:
    threads = torch.get_num_threads()
    try:
        segmenter = load_segmenter(runs.evaluation_config(name), dataset.classes, gpu=False)
        return [prediction.label_map(1.0) for _, prediction in segmenter.predict((image, "", None) for image in images)]
    finally:
        torch.set_num_threads(threads)


def _accuracy(labels: np.ndarray, truth: np.ndarray) -> float:
    labelled = truth != IGNORE
    return float((labels == truth)[labelled].mean())


def _side_by_side(panels: list[tuple[str, Image.Image]]) -> Image.Image:
    gap = 12
    canvas = Image.new(
        "RGB", (sum(panel.width + gap for _, panel in panels) - gap, _PANEL_HEIGHT + _TITLE_HEIGHT), "white"
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    x = 0
    for title, panel in panels:
        draw.text((x, 6), title, fill="black", font=font)
        canvas.paste(panel, (x, _TITLE_HEIGHT))
        x += panel.width + gap
    return canvas

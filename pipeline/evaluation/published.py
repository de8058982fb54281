"""What others have measured: mIoU in per cent, by benchmark.

Rows are as printed in the source given, or, where it says so, in a training log of the repository. They are
comparable only with care: training data differ, and Pascal Context 459 is scored by two formulas (see
`pipeline.evaluation.confusion`).
"""

from dataclasses import dataclass

COLUMNS = {
    "A-847": "ade20k_847",
    "PC-459": "pascal_context_459",
    "A-150": "ade20k_150",
    "PC-59": "pascal_context_59",
    "PAS-20": "voc_20",
}
"""The benchmarks in the order of OVSeg's Table 1, with the kind of data set that holds each."""


@dataclass(frozen=True)
class Published:
    """One row of a published table."""

    method: str
    backbone: str
    """Of the segmentation model and of CLIP, as far as the source names them."""
    training_data: str
    miou: dict[str, float]
    """Per cent, by column; columns that the source does not have are absent."""
    source: str
    older_formula: bool = False
    """PC-459 is divided by the classes with ground truth or predictions. (For MAFT with ViT-L/14 this is inferred from
    its other backbone.)"""


_OVSEG = "arXiv 2210.04150"


def _row(
    method: str, backbone: str, training_data: str, figures: str, source: str, older_formula: bool = False
) -> Published:
    """A row whose figures are written in the order of the columns, "-" where there is none."""
    miou = {column: float(figure) for column, figure in zip(COLUMNS, figures.split(), strict=True) if figure != "-"}
    return Published(method, backbone, training_data, miou, source, older_formula)


_TABLE_1 = f"{_OVSEG}, Table 1"

PAPER = [
    _row("SPNet", "R101", "PASCAL-15", "- - - 24.3 18.3", _TABLE_1),
    _row("ZS3Net", "R101", "PASCAL-15", "- - - 19.4 38.3", _TABLE_1),
    _row("LSeg", "R101", "PASCAL-15", "- - - - 47.4", _TABLE_1),
    _row("LSeg+", "R101", "COCO Panoptic", "2.5 5.2 13.0 36.0 59.0", _TABLE_1),
    _row("SimBaseline", "R101c", "COCO-Stuff-156", "- - 15.3 - 74.5", _TABLE_1),
    _row("ZegFormer", "R50", "COCO-Stuff-156", "- - 16.4 - 80.7", _TABLE_1),
    _row("OpenSeg", "R101", "COCO Panoptic", "4.0 6.5 15.3 36.9 60.0", _TABLE_1),
    _row("OVSeg", "R101c, ViT-B/16", "COCO-Stuff-156", "7.0 10.4 24.0 51.7 89.2", _TABLE_1, True),
    _row("OVSeg", "R101c, ViT-B/16", "COCO-Stuff-171", "7.1 11.0 24.8 53.3 92.6", _TABLE_1, True),
    _row("LSeg+", "Eff-B7", "COCO Panoptic", "3.8 7.8 18.0 46.5 -", _TABLE_1),
    _row("OpenSeg", "Eff-B7", "COCO Panoptic", "6.3 9.0 21.1 42.1 -", _TABLE_1),
    _row("OVSeg", "Swin-B, ViT-L/14", "COCO-Stuff-171", "9.0 12.4 29.6 55.7 94.5", _TABLE_1, True),
]
"""The paper's main table."""

_TABLE_3 = f"{_OVSEG}, Table 3"
_SWIN = ("Swin-B, ViT-L/14", "COCO-Stuff-171")

TUNING = [
    _row("CLIP untouched", *_SWIN, "7.3 - 21.8 51.4 -", _TABLE_3),
    _row("mask prompts only", *_SWIN, "8.4 - 26.5 55.4 -", _TABLE_3),
    _row("full finetuning", *_SWIN, "8.8 - 28.8 55.7 -", _TABLE_3),
    _row("full, then mask prompts", *_SWIN, "9.0 - 29.6 55.7 -", _TABLE_3),
]
"""Ways to adapt CLIP, both branches fused."""

_TABLE_4 = f"{_OVSEG}, Table 4"

BRANCHES = [
    _row("CLIP untouched: proposals only", *_SWIN, "- - 19.6 - -", _TABLE_4),
    _row("CLIP untouched: CLIP only", *_SWIN, "- - 14.3 - -", _TABLE_4),
    _row("CLIP untouched: fused", *_SWIN, "- - 21.8 - -", _TABLE_4),
    _row("OVSeg: proposals only", *_SWIN, "- - 19.6 - -", _TABLE_4),
    _row("OVSeg: CLIP only", *_SWIN, "- - 25.1 - -", _TABLE_4),
    _row("OVSeg: fused", *_SWIN, "- - 29.6 - -", _TABLE_4),
]
"""The two classifiers apart and together."""

_STUFF, _PANOPTIC, _COCO = "COCO-Stuff-171", "COCO Panoptic", "COCO"
_MASKCLIPPP = "github.com/HVision-NKU/MaskCLIPpp"

SUCCESSORS = [
    _row("ODISE", "ViT-L/14, Stable Diffusion", _PANOPTIC, "11.1 14.5 29.9 57.3 -", "arXiv 2303.04803"),
    _row("SAN", "ViT-B/16", _STUFF, "10.2 16.7 27.6 54.1 93.9", "arXiv 2302.12242, training log"),
    _row("SAN", "ViT-L/14-336", _STUFF, "13.0 20.8 31.9 57.5 95.2", "arXiv 2302.12242, training log"),
    _row("FC-CLIP", "RN50", _PANOPTIC, "7.1 12.9 23.3 50.5 89.5", "arXiv 2308.02487"),
    _row("FC-CLIP", "RN50x16", _PANOPTIC, "10.3 15.7 29.4 56.4 94.5", "arXiv 2308.02487"),
    _row("FC-CLIP", "ConvNeXt-L", _PANOPTIC, "14.8 18.2 34.1 58.4 95.4", "arXiv 2308.02487"),
    _row("CAT-Seg", "ViT-B/16", _STUFF, "12.0 19.0 31.8 57.5 94.6", "arXiv 2303.11797"),
    _row("CAT-Seg", "ViT-L/14-336", _STUFF, "16.0 23.8 37.9 63.3 97.0", "arXiv 2303.11797"),
    _row("SED", "ConvNeXt-B", _STUFF, "11.2 18.6 31.8 57.7 94.4", "arXiv 2311.15537"),
    _row("SED", "ConvNeXt-L", _STUFF, "13.7 22.1 35.3 60.9 96.1", "arXiv 2311.15537"),
    _row("MAFT", "ViT-B/16", _STUFF, "10.25 12.85 29.14 53.33 90.44", "arXiv 2310.00240", True),
    _row("MAFT", "ViT-L/14", _STUFF, "12.12 15.68 32.05 58.01 92.14", "arXiv 2310.00240", True),
    _row("MAFT+", "ConvNeXt-B", _STUFF, "13.8 16.2 34.6 57.5 95.4", "arXiv 2408.00744"),
    _row("MAFT+", "ConvNeXt-L", _STUFF, "15.1 21.6 36.1 59.4 96.5", "arXiv 2408.00744"),
    _row("Mask-Adapter on FC-CLIP", "ConvNeXt-L", _COCO, "14.1 19.3 36.6 59.7 95.5", "arXiv 2412.04533"),
    _row("Mask-Adapter on MAFT+", "ConvNeXt-L", _COCO, "16.2 22.7 38.2 60.4 95.8", "arXiv 2412.04533"),
    _row("MaskCLIP++, FC-CLIP masks", "EVA02-L/14-336", _COCO, "15.4 21.3 37.1 62.6 96.4", _MASKCLIPPP),
    _row("MaskCLIP++, MAFT+ masks", "EVA02-L/14-336", _COCO, "16.8 23.9 38.2 62.5 96.8", _MASKCLIPPP),
]
"""Later work."""

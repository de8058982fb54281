"""What others have measured: mIoU in per cent, by benchmark. (PQ and AP are in `published_panoptic`.)

Rows are as printed in the source given: the paper, the README of the authors' repository or, where it says so, a
training log in it. They are comparable only with care: training data differ, Pascal Context 459 is scored by two
formulas (see `pipeline.evaluation.confusion`), and some methods show CLIP a crop of every region, others the image.
"""

from dataclasses import dataclass
from enum import Enum

COLUMNS = {
    "A-847": "ade20k_847",
    "PC-459": "pascal_context_459",
    "A-150": "ade20k_150",
    "PC-59": "pascal_context_59",
    "PAS-20": "voc_20",
}
"""The benchmarks in the order of OVSeg's Table 1, with the kind of data set that holds each."""


class Formula(Enum):
    """What a PC-459 figure is divided by, as far as the authors' code tells; the value marks the figure in tables."""

    GROUND_TRUTH = ""
    """The classes with ground truth: detectron2 since July 2022."""
    GROUND_TRUTH_OR_PREDICTED = "*"
    """The classes with ground truth or predictions: detectron2 0.6, evaluators copied from it, and mmsegmentation."""
    UNKNOWN = "?"
    """The code is not public, or does not say which detectron2 it is for."""


@dataclass(frozen=True)
class Published:
    """One row of a published table."""

    method: str
    backbone: str
    """Of the segmentation model and of CLIP, as far as the source names them."""
    training_data: str
    miou: dict[str, float]
    """Per cent, by column of `COLUMNS`; columns that the source does not have are absent."""
    source: str
    formula: Formula | None
    """Of the PC-459 figure; None where there is none."""
    crops: bool = False
    """Whether CLIP encodes a crop of every region, as in OVSeg, and not the image at once or in windows."""


_OVSEG = "arXiv 2210.04150"


def _row(
    method: str, backbone: str, training_data: str, figures: str, source: str, *, crops: bool = False
) -> Published:
    """A row whose figures are in the order of the columns, "-" where there is none, PC-459 with its formula's mark."""
    written = {column: figure for column, figure in zip(COLUMNS, figures.split(), strict=True) if figure != "-"}
    miou = {column: float(figure.rstrip("*?")) for column, figure in written.items()}
    formula = Formula(written["PC-459"].lstrip("0123456789.")) if "PC-459" in written else None
    return Published(method, backbone, training_data, miou, source, formula, crops)


_TABLE_1 = f"{_OVSEG}, Table 1"

PAPER = [
    _row("SPNet", "R101", "PASCAL-15", "- - - 24.3 18.3", _TABLE_1),
    _row("ZS3Net", "R101", "PASCAL-15", "- - - 19.4 38.3", _TABLE_1),
    _row("LSeg", "R101", "PASCAL-15", "- - - - 47.4", _TABLE_1),
    _row("LSeg+", "R101", "COCO Panoptic", "2.5 5.2? 13.0 36.0 59.0", _TABLE_1),
    _row("SimBaseline", "R101c", "COCO-Stuff-156", "- - 15.3 - 74.5", _TABLE_1, crops=True),
    _row("ZegFormer", "R50", "COCO-Stuff-156", "- - 16.4 - 80.7", _TABLE_1, crops=True),
    _row("OpenSeg", "R101", "COCO Panoptic", "4.0 6.5? 15.3 36.9 60.0", _TABLE_1),
    _row("OVSeg", "R101c, ViT-B/16", "COCO-Stuff-156", "7.0 10.4* 24.0 51.7 89.2", _TABLE_1, crops=True),
    _row("OVSeg", "R101c, ViT-B/16", "COCO-Stuff-171", "7.1 11.0* 24.8 53.3 92.6", _TABLE_1, crops=True),
    _row("LSeg+", "Eff-B7", "COCO Panoptic", "3.8 7.8? 18.0 46.5 -", _TABLE_1),
    _row("OpenSeg", "Eff-B7", "COCO Panoptic", "6.3 9.0? 21.1 42.1 -", _TABLE_1),
    _row("OVSeg", "Swin-B, ViT-L/14", "COCO-Stuff-171", "9.0 12.4* 29.6 55.7 94.5", _TABLE_1, crops=True),
]
"""The paper's main table."""

_TABLE_3 = f"{_OVSEG}, Table 3"
_SWIN = ("Swin-B, ViT-L/14", "COCO-Stuff-171")

TUNING = [
    _row("CLIP untouched", *_SWIN, "7.3 - 21.8 51.4 -", _TABLE_3, crops=True),
    _row("mask prompts only", *_SWIN, "8.4 - 26.5 55.4 -", _TABLE_3, crops=True),
    _row("full finetuning", *_SWIN, "8.8 - 28.8 55.7 -", _TABLE_3, crops=True),
    _row("full, then mask prompts", *_SWIN, "9.0 - 29.6 55.7 -", _TABLE_3, crops=True),
]
"""Ways to adapt CLIP, both branches fused."""

_TABLE_4 = f"{_OVSEG}, Table 4"

BRANCHES = [
    _row("CLIP untouched: proposals only", *_SWIN, "- - 19.6 - -", _TABLE_4),
    _row("CLIP untouched: CLIP only", *_SWIN, "- - 14.3 - -", _TABLE_4, crops=True),
    _row("CLIP untouched: fused", *_SWIN, "- - 21.8 - -", _TABLE_4, crops=True),
    _row("OVSeg: proposals only", *_SWIN, "- - 19.6 - -", _TABLE_4),
    _row("OVSeg: CLIP only", *_SWIN, "- - 25.1 - -", _TABLE_4, crops=True),
    _row("OVSeg: fused", *_SWIN, "- - 29.6 - -", _TABLE_4, crops=True),
]
"""The two classifiers apart and together."""

_STUFF, _PANOPTIC = "COCO-Stuff-171", "COCO Panoptic"
_SAN = "arXiv 2302.12242, training log"
_SED = "arXiv 2311.15537, github.com/xb534/SED"
_MASK_ADAPTER = "github.com/hustvl/MaskAdapter"
_MASKCLIPPP = "github.com/HVision-NKU/MaskCLIPpp"
_EOV_SEG = "github.com/nhw649/EOV-Seg"
_TURBO_SEG = "github.com/gyyang23/Turbo-Seg"

SUCCESSORS = [
    _row("ODISE", "ViT-L/14, Stable Diffusion", _PANOPTIC, "11.1 14.5* 29.9 57.3 -", "arXiv 2303.04803"),
    _row("SAN", "ViT-B/16", _STUFF, "10.2 16.7 27.6 54.1 93.9", _SAN),
    _row("SAN", "ViT-L/14-336", _STUFF, "13.0 20.8 31.9 57.5 95.2", _SAN),
    _row("FC-CLIP", "RN50", _PANOPTIC, "7.1 12.9 23.3 50.5 89.5", "arXiv 2308.02487"),
    _row("FC-CLIP", "RN50x16", _PANOPTIC, "10.3 15.7 29.4 56.4 94.5", "arXiv 2308.02487"),
    _row("FC-CLIP", "ConvNeXt-L", _PANOPTIC, "14.8 18.2 34.1 58.4 95.4", "arXiv 2308.02487"),
    _row("CAT-Seg", "ViT-B/16", _STUFF, "12.0 19.0 31.8 57.5 94.6", "arXiv 2303.11797"),
    _row("CAT-Seg", "ViT-L/14-336", _STUFF, "16.0 23.8 37.9 63.3 97.0", "arXiv 2303.11797"),
    _row("CAT-Seg", "SigLIP 2 L/16", "COCO-Stuff-172", "14.3 24.1? 38.8 62.4 97.0", "arXiv 2502.14786, Table 3"),
    _row("SED, all classes decoded", "ConvNeXt-B", _STUFF, "11.2 18.6 31.8 57.7 94.4", _SED),
    _row("SED, all classes decoded", "ConvNeXt-L", _STUFF, "13.7 22.1 35.3 60.9 96.1", _SED),
    _row("SED, early rejection", "ConvNeXt-B", _STUFF, "11.4 18.6 31.6 57.3 94.4", _SED),
    _row("SED, early rejection", "ConvNeXt-L", _STUFF, "13.9 22.6 35.2 60.6 96.1", _SED),
    _row("MAFT", "ViT-B/16", _STUFF, "10.25 12.85* 29.14 53.33 90.44", "arXiv 2310.00240"),
    _row("MAFT", "ViT-L/14", _STUFF, "12.12 15.68* 32.05 58.01 92.14", "arXiv 2310.00240"),
    _row("MAFT+", "ConvNeXt-B", _STUFF, "13.8 16.2* 34.6 57.5 95.4", "arXiv 2408.00744"),
    _row("MAFT+", "ConvNeXt-L", _STUFF, "15.1 21.6* 36.1 59.4 96.5", "arXiv 2408.00744"),
    _row("EOV-Seg", "RN50", _PANOPTIC, "6.6 11.5 21.9 46.0 87.2", _EOV_SEG),
    _row("EOV-Seg", "RN50x4", _PANOPTIC, "7.8 12.2 25.5 51.8 91.2", _EOV_SEG),
    _row("EOV-Seg", "ConvNeXt-L", _PANOPTIC, "12.8 16.8 32.1 56.9 94.8", _EOV_SEG),
    _row("Mask-Adapter on FC-CLIP", "ConvNeXt-L", _PANOPTIC, "14.1 19.3 36.6 59.7 95.5", _MASK_ADAPTER),
    _row("Mask-Adapter on MAFT+", "ConvNeXt-B", _STUFF, "14.2 17.9* 35.6 58.4 95.1", _MASK_ADAPTER),
    _row("Mask-Adapter on MAFT+", "ConvNeXt-L", _STUFF, "16.2 22.7* 38.2 60.4 95.8", _MASK_ADAPTER),
    _row("MaskCLIP++, FC-CLIP masks", "EVA02-L/14-336", _STUFF, "15.4 21.3 37.1 62.6 96.4", _MASKCLIPPP),
    _row("MaskCLIP++, MAFT+ masks", "EVA02-L/14-336", _STUFF, "16.8 23.9 38.2 62.5 96.8", _MASKCLIPPP),
    _row("Turbo-Seg", "ConvNeXt-B", _STUFF, "12.4 19.0? 32.9 55.0 95.4", _TURBO_SEG),
    _row("Turbo-Seg", "ConvNeXt-L", _STUFF, "16.0 23.0? 35.7 57.9 97.1", _TURBO_SEG),
    _row(
        "RetCLIP on FC-CLIP", "ConvNeXt-L", f"{_PANOPTIC}, bank of image-text pairs", "- - 44.0 - -", "arXiv 2601.12779"
    ),
]
"""Later work that trains on the masks and classes of COCO. (SED's paper prints the figures with early rejection.)"""

_CORRCLIP = "github.com/zdk258/CorrCLIP"
_CORRCLIP_B = "ViT-B/16, RADIOv3-L, EntitySeg masks"
_CORRCLIP_L = "ViT-L/14, RADIOv3-L, EntitySeg masks"
_COCO_BANK = "none; bank of COCO images"
_TIPS = "github.com/google-deepmind/tips"

TRAINING_FREE = [
    _row("TIPSv2", "L/14", "image-text pairs", "- - 24.7 - -", _TIPS),
    _row("TIPSv2", "SO/14", "image-text pairs", "- - 23.3 - -", _TIPS),
    _row("CorrCLIP", "ViT-L/14, SAM 2 masks", "none", "- - 30.7 50.8 91.5", _CORRCLIP),
    _row("CorrCLIP", _CORRCLIP_B, "none", "10.5 11.8* 28.6 50.8 89.9", _CORRCLIP),
    _row("CorrCLIP", _CORRCLIP_L, "none", "14.5 15.2* 32.9 53.1 92.2", _CORRCLIP),
    _row("CorrCLIPv2", _CORRCLIP_B, _COCO_BANK, "11.7 16.8* 33.2 56.3 93.6", _CORRCLIP),
    _row("CorrCLIPv2", _CORRCLIP_L, _COCO_BANK, "14.9 18.6* 36.5 56.8 93.2", _CORRCLIP),
    _row("CorrCLIPv2", _CORRCLIP_L, "none; bank of generated images", "15.0 18.8* 34.9 55.9 93.4", _CORRCLIP),
]
"""Nothing trained for segmentation: frozen encoders, with masks of class-agnostic models where it says so."""

OTHER_SUPERVISION = [
    _row("SAM 3", "Perception Encoder", "SA-Co", "13.8 - - 60.8 -", "arXiv 2511.16719, Table 1"),
]
"""Trained on masks of phrases at another scale; each class is a prompt of its own."""

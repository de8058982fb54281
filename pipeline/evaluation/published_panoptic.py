"""What others have measured of panoptic and instance segmentation: PQ, SQ, RQ, mask AP and mIoU in per cent.

Rows are as printed in the source given: an abstract or table of the paper, or the README of the authors' repository
or a log in it. Most have learnt from COCO's training split, so that their COCO column is not open-vocabulary.
"""

from dataclasses import dataclass

PANOPTIC_COLUMNS = {
    "ADE20K-150": ("PQ", "SQ", "RQ", "AP", "mIoU"),
    "COCO": ("PQ", "SQ", "RQ", "AP", "mIoU"),
    "Cityscapes": ("PQ", "SQ", "RQ", "AP", "mIoU"),
    "LVIS": ("AP",),
}
"""The validation sets, each with its metrics in the order to print."""


@dataclass(frozen=True)
class PublishedPanoptic:
    """One row of a published table."""

    method: str
    backbone: str
    training_data: str
    figures: dict[str, dict[str, float]]
    """Per cent, by data set and metric of `PANOPTIC_COLUMNS`; what the source does not have is absent."""
    source: str


def _row(method: str, backbone: str, training_data: str, source: str, **figures: str) -> PublishedPanoptic:
    """A row with a string for each data set (its figures in the order of the metrics, "-" where there is none)."""
    names = {"ade": "ADE20K-150", "coco": "COCO", "cityscapes": "Cityscapes", "lvis": "LVIS"}
    found = {}
    for dataset, written in figures.items():
        pairs = zip(PANOPTIC_COLUMNS[names[dataset]], written.split(), strict=True)
        found[names[dataset]] = {metric: float(figure) for metric, figure in pairs if figure != "-"}
    return PublishedPanoptic(method, backbone, training_data, found, source)


_COCO = "COCO Panoptic"
_ODISE = "github.com/NVlabs/ODISE"
_FC_CLIP = "github.com/bytedance/fc-clip"
_EOV_SEG = "github.com/nhw649/EOV-Seg"
_MASKCLIPPP = "github.com/HVision-NKU/MaskCLIPpp"

PANOPTIC = [
    _row(
        "ODISE",
        "ViT-L/14, Stable Diffusion",
        _COCO,
        _ODISE,
        ade="22.6 - - 14.4 29.9",
        coco="55.4 - - 46.0 65.2",
    ),
    _row(
        "ODISE, classes from captions",
        "ViT-L/14, Stable Diffusion",
        "COCO masks and captions",
        _ODISE,
        ade="23.4 - - 13.9 28.7",
        coco="45.6 - - 38.4 52.4",
    ),
    _row(
        "FC-CLIP",
        "RN50",
        _COCO,
        _FC_CLIP,
        ade="17.9 - - 9.5 23.3",
        coco="50.7 - - 40.7 58.8",
        cityscapes="40.3 - - 21.6 53.2",
    ),
    _row(
        "FC-CLIP",
        "RN50x16",
        _COCO,
        _FC_CLIP,
        ade="22.5 - - 13.6 29.4",
        coco="54.4 - - 45.0 63.3",
        cityscapes="42.0 - - 25.6 56.0",
    ),
    _row(
        "FC-CLIP",
        "ConvNeXt-L",
        _COCO,
        f"{_FC_CLIP}, evaluation logs",
        ade="26.8 71.6 32.3 16.8 34.1",
        coco="54.4 83.0 64.8 44.6 63.7",
        cityscapes="44.0 75.4 53.6 26.8 56.2",
    ),
    _row("MAFT+", "ConvNeXt-L", "COCO", "github.com/jiaosiyu1999/MAFT-Plus", ade="27.1 73.5 32.9 - -"),
    _row("EOV-Seg", "RN50", _COCO, _EOV_SEG, ade="15.1 57.0 18.9 7.2 21.9"),
    _row("EOV-Seg", "RN50x4", _COCO, _EOV_SEG, ade="18.7 63.5 23.2 8.5 25.5"),
    _row("EOV-Seg", "ConvNeXt-L", _COCO, _EOV_SEG, ade="24.5 70.2 30.1 13.7 32.1"),
    _row("MaskCLIP++, FC-CLIP masks", "EVA02-L/14-336", "COCO-Stuff-171", _MASKCLIPPP, ade="27.7 72.0 33.6 17.3 -"),
    _row("MaskCLIP++, MAFT+ masks", "EVA02-L/14-336", "COCO-Stuff-171", _MASKCLIPPP, ade="28.1 74.0 34.7 - -"),
    _row(
        "RetCLIP on FC-CLIP",
        "ConvNeXt-L",
        "COCO Panoptic, bank of image-text pairs",
        "arXiv 2601.12779",
        ade="30.9 - - 19.3 44.0",
    ),
    _row(
        "SAM 3",
        "Perception Encoder",
        "SA-Co",
        "arXiv 2511.16719, Table 1",
        cityscapes="- - - - 65.2",
        lvis="48.5",
    ),
]
"""PQ of panoptic annotations, AP of instance masks, mIoU of semantic annotations."""

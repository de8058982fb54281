"""What is sent for an image: labels, a legend, the regions and the times.

Shape suffixes: Q masks, C classes and then background names, R runs.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import BaseModel, Field

from pipeline.bank.evidence import Evidence
from pipeline.segmentation import UNLABELLED, Prediction
from pipeline.segmentation.drawing import class_colours, label_png
from pipeline.segmentation.fusion import class_scores
from pipeline.serving.models import Segmented

_NAMES_PER_REGION = 5


class Mask(BaseModel):
    """A binary mask as COCO's compressed run-length code, which `pycocotools.mask.decode` reads."""

    size: tuple[int, int] = Field(description="Height and width, pixels.")
    counts: str


class LegendEntry(BaseModel):
    """A class, and where it is."""

    index: int = Field(description="Its label in the label map.")
    names: list[str] = Field(description="Its name, and synonyms.")
    colour: str = Field(description="#rrggbb, also in the palette of the label map.")
    area: int = Field(description="Pixels with this label.")
    share: float = Field(description="The same as a fraction of the image.")
    mask: Mask


class NamedScore(BaseModel):
    """How well a class fits a region."""

    name: str
    score: float = Field(
        description="0 to 1: CLIP's softmax over the classes and background names, fused with the votes of mined "
        "regions if the server has a bank, and with the proposal model's own classes if it classifies."
    )
    background: bool = Field(description="Whether it is one of the server's background names.")


class MinedRegion(BaseModel):
    """A mined region that a region's classes rest on, beside CLIP."""

    noun: str = Field(description="What its caption calls it.")
    similarity: float = Field(description="Cosine similarity of the two regions.")
    dataset: str = Field(description="The mined dataset, as it was called when the bank was made.")
    key: str = Field(description="Its pair in that dataset.")
    thumbnail: str | None = Field(
        description="The region as a JPEG in a data URL, its surroundings faded; null if its dataset cannot be read."
    )


class Region(BaseModel):
    """A mask proposal; proposals overlap."""

    box: tuple[int, int, int, int] = Field(description="x0, y0, x1, y1 in pixels; x1 and y1 are exclusive.")
    area: int = Field(description="Pixels.")
    share: float = Field(description="The same as a fraction of the image.")
    names: list[NamedScore] = Field(description="The five classes that fit best, the best first.")
    mined: list[MinedRegion] = Field(
        default=[],
        description="The mined regions most like it that voted, the most similar first; without a bank none.",
    )
    mask: Mask


class Timing(BaseModel):
    """Seconds on the server."""

    decode: float = Field(description="From the bytes of the file to an upright image.")
    wait: float = Field(description="For other requests, and on the way to the models and back.")
    models: float = Field(description="In the models, with all images of the batch.")
    draw: float = Field(description="From what the models say to this answer.")
    total: float = Field(description="From when all bytes had arrived.")
    batch: int = Field(description="Images that were in the models together.")


class Answer(BaseModel):
    """An image, segmented."""

    width: int = Field(description="Pixels, after turning the image upright.")
    height: int
    labels: str = Field(
        description="The label map as PNG in base64: with up to 255 classes an 8-bit palette image in which 255 is "
        "unlabelled, else 16-bit grey with 65535 for it."
    )
    unlabelled: float = Field(description="Fraction of the image that no class wins.")
    legend: list[LegendEntry] = Field(description="All classes of the request, in its order.")
    regions: list[Region] = Field(description="The largest first.")
    timing: Timing


def draw(segmented: Segmented, classes: Sequence[tuple[str, ...]]) -> dict:
    """All of an `Answer` but its timing."""
    prediction = segmented.prediction
    labels = prediction.label_map(segmented.weight)
    return {
        "width": prediction.masks.width,
        "height": prediction.masks.height,
        "labels": base64.b64encode(label_png(labels, len(classes))).decode(),
        "unlabelled": float(np.mean(labels == UNLABELLED)),
        "legend": _legend(labels, classes),
        "regions": _regions(prediction, segmented),
    }


def _legend(labels: np.ndarray, classes: Sequence[tuple[str, ...]]) -> list[LegendEntry]:
    # Masks of all classes from the runs of equal labels down the columns: one pass, however many classes there are.
    down = labels.T.reshape(-1)
    starts_R = np.concatenate([[0], np.flatnonzero(down[1:] != down[:-1]) + 1])
    labels_R, ends_R = down[starts_R], np.append(starts_R[1:], len(down))
    entries = []
    for index, (names, colour) in enumerate(zip(classes, class_colours(len(classes)).tolist(), strict=True)):
        mine = labels_R == index
        area = int((ends_R[mine] - starts_R[mine]).sum())
        edges = np.stack([starts_R[mine], ends_R[mine]], axis=1).reshape(-1)
        runs = np.diff(edges, prepend=0, append=len(down))
        code = coco_mask.frPyObjects({"size": list(labels.shape), "counts": runs.tolist()}, *labels.shape)
        entries.append(
            LegendEntry(
                index=index,
                names=list(names),
                colour="#{:02x}{:02x}{:02x}".format(*colour),
                area=area,
                share=area / labels.size,
                mask=Mask(size=labels.shape, counts=code["counts"].decode()),
            )
        )
    return entries


def _regions(prediction: Prediction, segmented: Segmented) -> list[Region]:
    names, weight = segmented.names, segmented.weight
    evidence_Q: list[list[Evidence]] = [[] for _ in prediction.valid]
    for index, found in zip(np.flatnonzero(prediction.valid).tolist(), segmented.evidence, strict=False):
        evidence_Q[index] = found
    masks = prediction.masks
    scores_QC = class_scores(prediction.proposal_logits, prediction.region_logits, prediction.valid, weight).numpy()
    areas_Q, boxes_Q4 = masks.areas, masks.boxes()
    regions = []
    for index in np.argsort(-areas_Q, kind="stable").tolist():
        if not prediction.valid[index]:
            continue
        scores_C = scores_QC[index]
        best = np.argsort(-scores_C, kind="stable")[:_NAMES_PER_REGION].tolist()
        regions.append(
            Region(
                box=tuple(boxes_Q4[index].tolist()),
                area=int(areas_Q[index]),
                share=int(areas_Q[index]) / (masks.height * masks.width),
                names=[
                    NamedScore(
                        name=names[column], score=float(scores_C[column]), background=column >= prediction.classes
                    )
                    for column in best
                ],
                mined=[MinedRegion(**asdict(one)) for one in evidence_Q[index]],
                mask=Mask(size=masks.size, counts=masks[index].decode()),
            )
        )
    return regions

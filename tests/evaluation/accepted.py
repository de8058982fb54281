"""Random truth and results, in the formats of the accepted evaluators and in ours."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.evaluation.datasets.objects import TrueInstances
from pipeline.masks.masks import Masks
from pipeline.segmentation.objects import Instances

SIDES = (150, 170)


def rectangles(rng: np.random.Generator, count: int, size: tuple[int, int] = SIDES) -> np.ndarray:
    """Filled boxes with a notch, small and large ones, uint8 [count,H,W]."""
    masks = np.zeros((count, *size), np.uint8)
    for mask in masks:
        height, width = (int(rng.integers(4, min(side, rng.choice([20, 60, side])))) for side in size)
        top, left = int(rng.integers(0, size[0] - height + 1)), int(rng.integers(0, size[1] - width + 1))
        mask[top : top + height, left : left + width] = 1
        mask[top : top + height // 3, left : left + width // 4] = 0
    return masks


def shifted(rng: np.random.Generator, mask: np.ndarray, most: int = 3) -> np.ndarray:
    return np.roll(mask, tuple(rng.integers(-most, most + 1, 2)), axis=(0, 1))


@dataclass
class CaseOfInstances:
    """COCO's `images`, `annotations` and results, and the same image by image as ours."""

    document: dict
    results: list[dict]
    truth: dict[int, TrueInstances]
    found: dict[int, tuple[Masks, Instances]]


def instances(seed: int, images: int, classes: int, *, crowds: bool = True, federated: bool = False) -> CaseOfInstances:
    """Objects and detections of categories 1, 3, 5, …; ties of scores do not occur."""
    rng = np.random.default_rng(seed)
    categories = [{"id": 2 * c + 1, "name": f"c{c}", "frequency": "rcf"[c % 3]} for c in range(classes)]
    document = {"images": [], "annotations": [], "categories": categories, "info": {}}
    results: list[dict] = []
    truth, found = {}, {}
    for image in range(1, images + 1):
        labels = rng.integers(0, classes, int(rng.integers(0, 9)))
        masks = rectangles(rng, len(labels))
        crowd = (rng.random(len(labels)) < 0.15) & crowds
        # What is stated may differ from the pixels, as that of polygons does.
        areas = masks.sum(axis=(1, 2)) * rng.uniform(0.8, 1.2, len(labels))
        entry = {"id": image, "height": SIDES[0], "width": SIDES[1], "file_name": f"{image}.jpg"}
        checked, not_exhaustive = None, frozenset()
        if federated:
            negative = set(rng.choice(classes, 2).tolist()) - set(labels.tolist())
            not_exhaustive = frozenset(rng.permutation(np.unique(labels))[:1].tolist())
            checked = frozenset(negative | set(labels.tolist()))
            entry |= {
                "neg_category_ids": [2 * c + 1 for c in sorted(negative)],
                "not_exhaustive_category_ids": [2 * c + 1 for c in sorted(not_exhaustive)],
                "coco_url": f"http://images.cocodataset.org/val2017/{image:012d}.jpg",
            }
        document["images"].append(entry)
        for mask, label, area, group in zip(masks, labels, areas, crowd, strict=True):
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": image,
                    "category_id": int(2 * label + 1),
                    "segmentation": code(mask),
                    "area": float(area),
                    "bbox": coco_mask.toBbox(code(mask)).tolist(),
                    **({} if federated else {"iscrowd": int(group)}),
                }
            )
        truth[image] = TrueInstances(Masks.encode(masks), labels, areas, crowd, checked, not_exhaustive)
        near = [shifted(rng, mask) for mask in masks for _ in range(int(rng.integers(0, 4)))]
        pool = np.concatenate([np.array(near).reshape(-1, *SIDES).astype(np.uint8), rectangles(rng, 4)])
        near_labels = rng.integers(0, classes, len(pool))
        # Mostly the class of the object that the mask was made of.
        for index, mask in enumerate(pool):
            if len(masks) and rng.random() < 0.8:
                shares = [(mask & other).sum() for other in masks]
                near_labels[index] = labels[int(np.argmax(shares))]
        pool_masks = Masks.encode(pool)
        chosen = rng.permutation(np.repeat(np.arange(len(pool)), 2))[: len(pool)]
        chosen_labels = np.where(
            rng.random(len(chosen)) < 0.8, near_labels[chosen], rng.integers(0, classes, len(chosen))
        )
        right = chosen_labels == near_labels[chosen]
        scores = (rng.random(len(chosen)) * np.where(right & (chosen < len(near)), 1.0, 0.6)).astype(np.float32)
        found[image] = (pool_masks, Instances(chosen, chosen_labels, scores))
        for which, label, score in zip(chosen, chosen_labels, scores, strict=True):
            results.append(
                {
                    "image_id": image,
                    "category_id": int(2 * label + 1),
                    "segmentation": {"size": list(SIDES), "counts": pool_masks[int(which)].decode()},
                    "score": float(score),
                }
            )
    return CaseOfInstances(document, results, truth, found)


def code(mask: np.ndarray) -> dict:
    found = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}

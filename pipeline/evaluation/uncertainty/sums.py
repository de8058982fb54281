"""Figures that are made of sums over images: mIoU and its kin, how often regions are named rightly, PQ.

Shape suffixes: B resamplings, I images, C classes.
"""

import functools
import operator
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from pipeline.evaluation.confusion import class_shares
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.panoptic_quality import PanopticCounts, panoptic_qualities
from pipeline.evaluation.uncertainty.resampling import Figures, class_means


def image_indices(table: pa.Table, images: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of a table are of the images, bool, and the index of the image of each such row, int64."""
    indices = pc.index_in(table["image_id"].combine_chunks(), images)
    of_images = indices.is_valid().to_numpy(zero_copy_only=False)
    return of_images, indices.drop_null().to_numpy().astype(np.int64)


class ImageSums:
    """What each image adds to some numbers of each class; few classes occur in an image."""

    def __init__(self, table: pa.Table, columns: Mapping[str, np.ndarray], images: pa.Array, classes: int) -> None:
        """Sort the rows.

        Args:
            table: has `image_id` and `label`.
            columns: numbers of each row.
            images: ids; rows of others are passed over.
        """
        chosen, places = image_indices(table, images)
        labels = table["label"].to_numpy()[chosen].astype(np.int64)
        self._names, self._classes = list(columns), classes
        values = np.concatenate([numbers[chosen].astype(np.float64) for numbers in columns.values()])
        cells = np.concatenate([labels + index * classes for index in range(len(columns))])
        shape = (classes * len(columns), len(images))
        self._sums = csr_array((values, (cells, np.tile(places, len(columns)))), shape=shape)

    def sums(self, weights_BI: np.ndarray) -> dict[str, np.ndarray]:
        """The weighted sums over the images, float64 [B,C] by column."""
        sums_B = (self._sums @ weights_BI.T).T.reshape(len(weights_BI), len(self._names), self._classes)
        return {name: np.ascontiguousarray(sums_B[:, index]) for index, name in enumerate(self._names)}

    def images_with(self, *names: str) -> np.ndarray:
        """In how many images each class has a number above 0 in one of these columns, int64 [C]."""
        firsts = [self._names.index(name) * self._classes for name in names]
        counted = functools.reduce(operator.add, (self._sums[first : first + self._classes] for first in firsts))
        return np.asarray((counted > 0).sum(axis=1)).ravel()


class PixelFigures:
    """mIoU by both formulas, fwIoU, mACC, pACC; IoU and accuracy of each class: see `pipeline.evaluation.confusion`."""

    def __init__(self, table: pa.Table, images: pa.Array, classes: int) -> None:
        """Take rows of `schemas.CLASS_PIXELS`, of one branch."""
        columns = {name: table[name].to_numpy() for name in ("correct", "predicted", "labelled")}
        self._sums = ImageSums(table, columns, images, classes)
        self.images_of_class = self._sums.images_with("labelled")

    def figures(self, weights_BI: np.ndarray) -> Figures:
        """See `ImageFigures`."""
        sums = self._sums.sums(weights_BI)
        correct_BC, predicted_BC, labelled_BC = (sums[name] for name in ("correct", "predicted", "labelled"))
        present_BC, iou_BC, acc_BC = class_shares(correct_BC, predicted_BC, labelled_BC)
        known_BC = np.where(present_BC, iou_BC, 0)
        pixels_B = labelled_BC.sum(axis=1)
        named_B = np.where(pixels_B > 0, ((labelled_BC + predicted_BC) > 0).sum(axis=1), 0)
        headline = {
            "miou": class_means(iou_BC),
            "miou_gt_or_pred": _shares(known_BC.sum(axis=1), named_B),
            "fwiou": _shares((known_BC * labelled_BC).sum(axis=1), pixels_B),
            "macc": class_means(acc_BC),
            "pacc": _shares(correct_BC.sum(axis=1), pixels_B),
        }
        return Figures(headline, {"iou": iou_BC, "accuracy": acc_BC})


class RegionFigures:
    """How often CLIP names true regions rightly: the figures of `RegionAccuracy`."""

    def __init__(self, table: pa.Table, images: pa.Array, classes: int) -> None:
        """Take rows of `schemas.TRUE_REGIONS`."""
        ranks = table["rank"].to_numpy()
        columns = {"regions": np.ones(len(ranks)), "top1": ranks == 0, "top5": ranks < 5}
        self._sums = ImageSums(table, columns, images, classes)
        self.images_of_class = self._sums.images_with("regions")

    def figures(self, weights_BI: np.ndarray) -> Figures:
        """See `ImageFigures`."""
        sums = self._sums.sums(weights_BI)
        top1_BC = _shares(sums["top1"], sums["regions"])
        headline = {name: _shares(sums[name].sum(axis=1), sums["regions"].sum(axis=1)) for name in ("top1", "top5")}
        return Figures(headline | {"mean_per_class": class_means(top1_BC)}, {"top1": top1_BC})


class PanopticFigures:
    """PQ, SQ and RQ of all classes, of things (`pq_things`) and of stuff; PQ of each class."""

    def __init__(self, table: pa.Table, images: pa.Array, classes: int, objects: ObjectClasses) -> None:
        """Take rows of `schemas.PANOPTIC_COUNTS`, of one branch."""
        columns = {name: table[name].to_numpy() for name in ("iou", "tp", "fp", "fn")}
        self._sums = ImageSums(table, columns, images, classes)
        self._kinds = objects.kinds(classes)
        self.images_of_class = self._sums.images_with("tp", "fn")

    def figures(self, weights_BI: np.ndarray) -> Figures:
        """See `ImageFigures`."""
        qualities = panoptic_qualities(PanopticCounts(**self._sums.sums(weights_BI)))
        headline = {
            panoptic_name(name, kind): class_means(values_BC[:, among])
            for kind, among in self._kinds.items()
            for name, values_BC in zip(("pq", "sq", "rq"), qualities, strict=True)
        }
        return Figures(headline, {"pq": qualities[0]})


def panoptic_name(name: str, kind: str) -> str:
    """`pq` of all classes is `pq`, of things `pq_things`."""
    return name if kind == "all" else f"{name}_{kind}"


def _shares(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    return np.divide(parts, wholes, out=np.full(wholes.shape, np.nan), where=wholes > 0)

"""How long the bootstrap over images takes, beside counting every drawn image anew.

python -m tests.benchmarks.intervals [--images 5000] [--classes 150] [--resamplings 1000]

Every image shows 15 classes; of instances there are 100 detections of 80 classes in each. CPU time.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

import schemas
from pipeline.evaluation.confusion import class_shares
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.uncertainty.precision import InstanceFigures
from pipeline.evaluation.uncertainty.resampling import ImageFigures, resample, resampled_weights
from pipeline.evaluation.uncertainty.sums import PanopticFigures, PixelFigures

SHOWN, DETECTIONS, INSTANCES = 15, 100, 5


def strings(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers.astype(str))


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def instance_tables(rng: np.random.Generator, images: int, classes: int) -> tuple[pa.Table, pa.Table]:
    def fixed(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(values, 4), kind), 4)

    count = images * DETECTIONS
    matched = np.where(rng.random(count) < 0.06, (1 << rng.integers(1, 11, count)) - 1, 0)
    places, labels = np.repeat(np.arange(images), DETECTIONS), rng.zipf(1.3, count) % classes
    detections = [
        pa.array(["clip"] * count), strings(places),
        pa.array(labels, pa.int32()), pa.array(rng.random(count), pa.float32()),
        fixed(matched, pa.uint16()), fixed(np.zeros(count, int), pa.uint16()),
    ]  # fmt: skip
    # Every detection that takes an object has one to take.
    missed = images * INSTANCES
    places = np.concatenate([places[matched > 0], np.repeat(np.arange(images), INSTANCES)])
    labels = np.concatenate([labels[matched > 0], rng.zipf(1.3, missed) % classes])
    count = len(places)
    nothing = pa.array(np.zeros(count), pa.int32())
    truth = [
        strings(places), pa.array(labels, pa.int32()),
        *[nothing] * 4, fixed(np.ones(count, int), pa.int32()), *[nothing] * 2,
    ]  # fmt: skip
    return pa.table(detections, schema=schemas.DETECTIONS), pa.table(truth, schema=schemas.TRUE_OBJECTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--resamplings", type=int, default=1000)
    options = parser.parse_args()
    images, classes, rng = options.images, options.classes, np.random.default_rng(0)
    ids, count = strings(np.arange(images)), images * SHOWN
    labels = np.concatenate([rng.choice(classes, SHOWN, replace=False) for _ in range(images)])
    shared = [pa.array(["clip"] * count), strings(np.repeat(np.arange(images), SHOWN)), pa.array(labels, pa.int32())]
    pixels_3N = np.sort(rng.integers(1, 2000, (3, count)), axis=0)
    pixels = pa.table([*shared, *map(pa.array, pixels_3N)], schema=schemas.CLASS_PIXELS)
    found = [pa.array(rng.integers(0, 2, count), pa.int32()) for _ in range(3)]
    panoptic = pa.table([*shared, pa.array(rng.random(count)), *found], schema=schemas.PANOPTIC_COUNTS)
    objects = ObjectClasses(frozenset(range(80)), panoptic=True, instances=True)
    detections, truth = instance_tables(rng, images, 80)
    sources: dict[str, ImageFigures] = {
        "mIoU": PixelFigures(pixels, ids, classes),
        "PQ": PanopticFigures(panoptic, ids, classes, objects),
        "AP": InstanceFigures(detections, truth, ids, 80, objects),
    }
    took = {
        name: seconds(lambda one=source: resample({"it": one}, images, options.resamplings))
        for name, source in sources.items()
    }
    dense_3IC = np.zeros((3, images, classes))
    dense_3IC[:, np.repeat(np.arange(images), SHOWN), labels] = pixels_3N
    few = 20

    def one_by_one() -> None:
        [*blocks] = resampled_weights(images, few, 0)
        for weights_I in np.concatenate(blocks):
            drawn = np.repeat(np.arange(images), weights_I.astype(int))
            class_shares(*(counts_IC[drawn].sum(axis=0) for counts_IC in dense_3IC))

    slow = seconds(one_by_one) * options.resamplings / few
    print(f"{options.resamplings} resamplings of {images} images:")
    for name, one in took.items():
        print(f"{name}: {one:.2f} s")
    print(f"mIoU, adding up every drawn image: {slow:.2f} s: ÷ {slow / took['mIoU']:.1f}")


if __name__ == "__main__":
    main()

"""Miniatures of the official distributions: the files of each in its own format, with the labels that must come out."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from pipeline.evaluation.datasets import IGNORE, DatasetConfig
from pipeline.evaluation.datasets.ade20k_847_objects import OBJECTS

SIZE = (9, 14)


@dataclass(frozen=True)
class Miniature:
    """What a data set must say of the files in `config.root`."""

    config: DatasetConfig
    name: str
    labels: dict[str, np.ndarray]
    """int64 [H, W] by image id, -1 where nothing counts."""
    images: dict[str, Path]
    classes: int
    first_classes: list[tuple[str, ...]]


def expected(labels: np.ndarray) -> np.ndarray:
    """Labels uint16 with IGNORE in place of -1."""
    return np.where(labels < 0, IGNORE, labels).astype(np.uint16)


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """A noisy JPEG of this height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path, "JPEG")
    return path


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")


def _random(classes: int, seed: int) -> np.ndarray:
    """Labels of which some do not count; the first and last class are there."""
    labels = np.random.default_rng(seed).integers(-1, classes, SIZE)
    labels[0, :3] = 0, classes - 1, -1
    return labels


def ade20k_150(root: Path) -> Miniature:
    rows = [f"{number}\t0.0100\t100\t10\tthing {number}" for number in range(1, 151)]
    # As in the original: a space after some numbers and names, and synonyms.
    rows[0], rows[1] = "1\t0.1576\t11664\t1172\twall", "2\t0.1072\t6046\t612\tbuilding, edifice "
    rows[21] = "22 \t0.0074\t709\t75\twater"
    root.mkdir(parents=True)
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]) + "\n")
    labels, images = {}, {}
    for index, image_id in enumerate(("ADE_val_00000001", "ADE_val_00000002")):
        labels[image_id] = _random(150, index)
        images[image_id] = write_image(root / f"images/validation/{image_id}.jpg", index)
        write_png(root / f"annotations/validation/{image_id}.png", (labels[image_id] + 1).astype(np.uint8))
    write_image(root / "images/training/ADE_train_00000001.jpg")
    config = DatasetConfig("ade20k_150", str(root))
    return Miniature(config, "ade20k_150/validation", labels, images, 150, [("wall",), ("building", "edifice")])


def ade20k_847(root: Path) -> Miniature:
    root = root / "ADE20K_2021_17_01"
    names = [f"object {number}" for number in range(1, 3689)]
    names[2978 - 1], names[312 - 1], names[401 - 1] = "wall", "building, edifice", "car, auto, automobile"
    files = [
        ("training/urban/street", "ADE_train_00016869.jpg"),
        ("validation/urban/street", "ADE_val_00001001.jpg"),
        ("validation/home_or_hotel/bedroom", "ADE_val_00000002.jpg"),
    ]
    index = {
        "filename": [name for _, name in files],
        "folder": [f"ADE20K_2021_17_01/images/ADE/{folder}" for folder, _ in files],
        "scene": ["/street", "/street", "/bedroom"],
        "objectIsPart": np.zeros((len(names), len(files)), np.float32),
        "objectPresence": np.ones((len(names), len(files)), np.float32),
        "objectcounts": np.ones(len(names)),
        "objectnames": names,
        "proportionClassIsPart": np.zeros(len(names)),
        "wordnet_found": np.array(["a", None], object),
        "description": {"filename": "array of length N"},
    }
    root.mkdir(parents=True)
    # The arrays in the original were pickled by NumPy 1, where the functions that make them had other addresses.
    (root / "index_ade20k.pkl").write_bytes(pickle.dumps(index, protocol=2).replace(b"numpy._core", b"numpy.core"))
    labels, images = {}, {}
    for index, (folder, name) in enumerate(files[1:]):
        image_id = name.removesuffix(".jpg")
        labels[image_id] = _random(847, index)
        images[image_id] = write_image(root / "images/ADE" / folder / name, index)
        # Nothing annotated (0), and an object that is not among the 847, do not count.
        other = next(number for number in range(1, 3000) if number not in OBJECTS)
        numbers = np.array([*OBJECTS, other])[labels[image_id]]
        numbers[0, 2] = 0
        channels = np.stack([numbers // 256 * 10 + index, numbers % 256, np.full(SIZE, 77)], -1)
        write_png(root / "images/ADE" / folder / f"{image_id}_seg.png", channels.astype(np.uint8))
    config = DatasetConfig("ade20k_847", str(root))
    return Miniature(config, "ade20k_847/validation", labels, images, 847, [("wall",), ("building", "edifice")])


_VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_NAMES_59 = (
    *_VOC_NAMES, "bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "clothes", "computer", "cup",
    "door", "fence", "floor", "flower", "food", "grass", "ground", "keyboard", "light", "mountain", "mouse",
    "curtain", "platform", "sign", "plate", "road", "rock", "shelves", "sidewalk", "sky", "snow", "bedcloth",
    "track", "tree", "truck", "wall", "water", "window", "wood",
)  # fmt: skip

_RENAMED = {"diningtable": "table", "clothes": "cloth", "bedcloth": "bedclothes"}
_CHOSEN_59 = [_RENAMED.get(name, name) for name in _NAMES_59]
"""The 59 classes as the list of 459 names them."""


def _write_pascal_context(root: Path, numbers: dict[str, np.ndarray]) -> tuple[dict[str, Path], list[str]]:
    """Files for label numbers by image id; returns the images, and the 459 names."""
    names = sorted([*_CHOSEN_59, "accordion", *(f"thing {number:03d}" for number in range(399))])
    assert len(names) == 459
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "labels.txt").write_text("".join(f"{index}: {name}\n" for index, name in enumerate(names, start=1)))
    (root / "59_labels.txt").write_text("".join(f"{index}: {name}\n" for index, name in enumerate(_NAMES_59, start=1)))
    (root / "ImageSets/Main/val.txt").write_text("".join(f"{image_id}\n" for image_id in sorted(numbers, reverse=True)))
    (root / "ImageSets/Main/train.txt").write_text("2008_000001\n")
    (root / "trainval").mkdir()
    images = {}
    for index, (image_id, values) in enumerate(numbers.items()):
        images[image_id] = write_image(root / f"JPEGImages/{image_id}.jpg", index)
        scipy.io.savemat(root / f"trainval/{image_id}.mat", {"LabelMap": values.astype(np.uint16)}, do_compression=True)
    return images, names


def pascal_context_459(root: Path) -> Miniature:
    labels = {image_id: _random(459, index) for index, image_id in enumerate(("2008_000003", "2008_000002"))}
    images, names = _write_pascal_context(root, {image_id: values + 1 for image_id, values in labels.items()})
    config = DatasetConfig("pascal_context_459", str(root))
    return Miniature(config, "pascal_context_459/val", labels, images, 459, [(name,) for name in names])


def pascal_context_59(root: Path) -> Miniature:
    labels = {image_id: _random(59, index) for index, image_id in enumerate(("2008_000003", "2008_000002"))}
    numbers = {image_id: np.zeros(SIZE) for image_id in labels}
    images, names = _write_pascal_context(root, numbers)
    indices = np.array([names.index(name) + 1 for name in (*_CHOSEN_59, "accordion")])  # accordion is none of the 59
    for image_id, values in labels.items():
        scipy.io.savemat(root / f"trainval/{image_id}.mat", {"LabelMap": indices[values].astype(np.uint16)})
    config = DatasetConfig("pascal_context_59", str(root))
    return Miniature(config, "pascal_context_59/val", labels, images, 59, [(name,) for name in _CHOSEN_59])


def voc_20(root: Path) -> Miniature:
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Segmentation").mkdir()
    for part in ("train", "val", "trainval"):
        (root / f"ImageSets/Main/{part}.txt").write_text("2007_000033\n")
        for name in _VOC_NAMES:
            (root / f"ImageSets/Main/{name}_{part}.txt").write_text("2007_000033  1\n")
    labels, images = {}, {}
    for index, image_id in enumerate(("2007_000033", "2007_000042")):
        labels[image_id] = _random(20, index)
        values = (labels[image_id] + 1).astype(np.uint8)
        values[1, :] = 255  # the border of an object
        labels[image_id][1, :] = -1
        images[image_id] = write_image(root / f"JPEGImages/{image_id}.jpg", index)
        palette = Image.fromarray(values, "P")
        palette.putpalette(np.random.default_rng(5).integers(0, 256, 768).tolist())
        (root / "SegmentationClass").mkdir(exist_ok=True)
        palette.save(root / f"SegmentationClass/{image_id}.png")
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_000033\n2007_000042\n")
    config = DatasetConfig("voc_20", str(root))
    return Miniature(config, "voc_20/val", labels, images, 20, [(name,) for name in _VOC_NAMES])


def coco_stuff_171(root: Path) -> Miniature:
    unused = {
        12: "street sign", 26: "hat", 29: "shoe", 30: "eye glasses", 45: "plate", 66: "mirror", 68: "window",
        69: "desk", 71: "door", 83: "blender", 91: "hair brush",
    }  # fmt: skip
    names = {number: unused.get(number, f"category {number}") for number in range(1, 183)}
    root.mkdir(parents=True)
    (root / "labels.txt").write_text(
        "0: unlabeled\n" + "".join(f"{number}: {name}\n" for number, name in names.items())
    )
    used = [number for number in names if number not in unused]
    labels, images = {}, {}
    for index, image_id in enumerate(("000000000139", "000000000285")):
        labels[image_id] = _random(171, index)
        values = np.array([*(number - 1 for number in used), 255])[labels[image_id]]
        images[image_id] = write_image(root / f"val2017/{image_id}.jpg", index)
        write_png(root / f"stuffthingmaps/val2017/{image_id}.png", values.astype(np.uint8))
    config = DatasetConfig("coco_stuff_171", str(root))
    first = [(f"category {number}",) for number in (*range(1, 12), 13)]
    return Miniature(config, "coco_stuff_171/val2017", labels, images, 171, first)


def write_panoptic(root: Path, images: str, annotations: str) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    """COCO panoptic files of two images: things, a crowd, stuff, and pixels without label."""
    categories = [{"id": number, "name": name} for number, name in ((1, "person"), (3, "car"), (200, "rug-merged"))]
    listed, entries, labels, paths = [], [], {}, {}
    for image_id in (139, 99):
        ids = np.random.default_rng(image_id).choice([0, 5, 70_000, 3_226_956, 16_000_000], SIZE)
        categories_of = {5: (1, 0), 70_000: (1, 1), 3_226_956: (200, 0), 16_000_000: (3, 0)}
        name = f"{image_id:012d}"
        listed.append({"id": image_id, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
        segments = [{"id": s, "category_id": c, "iscrowd": crowd, "area": 1} for s, (c, crowd) in categories_of.items()]
        entries.append({"image_id": image_id, "file_name": f"{name}.png", "segments_info": segments})
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1)
        write_png(root / annotations / f"{name}.png", colours.astype(np.uint8))
        index = {0: -1, 5: 0, 70_000: 0, 3_226_956: 2, 16_000_000: 1}
        labels[str(image_id)] = np.vectorize(index.get)(ids)
        paths[str(image_id)] = write_image(root / images / f"{name}.jpg", image_id)
    content = {"images": listed, "annotations": entries, "categories": categories}
    (root / f"{annotations}.json").write_text(json.dumps(content))
    return labels, paths


def coco_panoptic(root: Path) -> Miniature:
    labels, images = write_panoptic(root, "val2017", "annotations/panoptic_val2017")
    config = DatasetConfig("coco_panoptic", str(root))
    return Miniature(config, "coco_panoptic/val2017", labels, images, 3, [("person",), ("car",), ("rug-merged",)])


def micro_world(root: Path) -> Miniature:
    labels, images = write_panoptic(root, "images", "panoptic")
    config = DatasetConfig("micro_world", str(root))
    return Miniature(config, "micro_world", labels, images, 3, [("person",), ("car",), ("rug-merged",)])


def ade20k_150_panoptic(root: Path) -> Miniature:
    """Objects over the label images: of class 12 and 101 of 150 (things 3 and 63 of 100), and one over a wall."""
    miniature = ade20k_150(root)
    for index, image_id in enumerate(miniature.labels):
        channels = np.zeros((*SIZE, 3), np.uint8)
        channels[2:5, 1:6] = 3, 1, 9
        channels[4:7, 5:9] = 3, 2, 9
        channels[7:9, index : index + 3] = 63, 200, 0
        write_png(root / f"annotations_instance/validation/{image_id}.png", channels)
    config = DatasetConfig("ade20k_150_panoptic", str(root))
    name = "ade20k_150_panoptic/validation"
    return Miniature(config, name, miniature.labels, miniature.images, 150, miniature.first_classes)


_CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def cityscapes(root: Path) -> Miniature:
    """Two cities: cars 26001 and 26002, a group of persons, a licence plate, and what is not evaluated."""
    labels, images = {}, {}
    for index, (city, image_id) in enumerate(
        (("frankfurt", "frankfurt_000000_000294"), ("munster", "munster_000001_000019"))
    ):
        truth = np.array([7, 8, 11, 23, 4, 10])[np.random.default_rng(index).integers(0, 6, SIZE)]
        instances = truth.astype(np.uint16)
        for rows, columns, number in (
            (slice(1, 4), slice(1, 5), 26001),
            (slice(3, 6), slice(5, 9), 26002),
            (slice(6, 8), slice(2, 9), 24),
            (slice(0, 1), slice(10, 14), 29000),  # a caravan
        ):
            truth[rows, columns], instances[rows, columns] = number // 1000 or number, number
        truth[2, 2], instances[2, 2] = 255, 65535
        places = {number: place for place, number in enumerate(_CITYSCAPES)}
        labels[image_id] = np.vectorize(lambda number, places=places: places.get(number, -1))(truth)
        stem = f"{city}/{image_id}"
        write_png(root / f"gtFine/val/{stem}_gtFine_labelIds.png", truth.astype(np.uint8))
        write_png(root / f"gtFine/val/{stem}_gtFine_instanceIds.png", instances)
        pixels = np.random.default_rng(index + 9).integers(0, 256, (*SIZE, 3), np.uint8)
        images[image_id] = root / f"leftImg8bit/val/{stem}_leftImg8bit.png"
        write_png(images[image_id], pixels)
    (root / "gtFine/val/license.txt").write_text("terms")
    first = [("road",), ("sidewalk",), ("building",)]
    return Miniature(DatasetConfig("cityscapes", str(root)), "cityscapes/val", labels, images, 19, first)


def _boxes(image_id: int, first_id: int, categories: tuple[int, ...]) -> list[dict]:
    """Annotations of an image: polygons and a run-length code."""
    polygons = [[[1.0, 1.0, 6.0, 1.0, 6.0, 5.0, 1.0, 5.0]], [[8.0, 2.0, 13.0, 2.0, 13.0, 8.0]]]
    segmentations = [*polygons, {"size": list(SIZE), "counts": [20, 5, 4, 5, 92]}]
    areas = (20.0, 15.0, 10)
    return [
        {"id": first_id + index, "image_id": image_id, "category_id": category, "segmentation": s, "area": area}
        for index, (category, s, area) in enumerate(zip(categories, segmentations, areas, strict=False))
    ]


def _write_instances(root: Path, path: str, content: dict, names: dict[int, str]) -> Miniature:
    images = {str(image_id): write_image(root / name, image_id) for image_id, name in names.items()}
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(content))
    return Miniature(DatasetConfig("", str(root)), "", {image: np.full(SIZE, -1) for image in images}, images, 0, [])


def coco_instances(root: Path) -> Miniature:
    """An image with three objects, one of them a crowd, and one with none."""
    names = {139: "val2017/000000000139.jpg", 99: "val2017/000000000099.jpg"}
    listed = [
        {"id": image_id, "file_name": name.partition("/")[2], "height": SIZE[0], "width": SIZE[1]}
        for image_id, name in names.items()
    ]
    annotations = [row | {"iscrowd": int(row["id"] == 7)} for row in _boxes(139, 5, (3, 3, 1))]
    categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    made = _write_instances(root, "annotations/instances_val2017.json", content, names)
    config = DatasetConfig("coco_instances", str(root))
    return replace(made, config=config, name="coco_instances/val2017", classes=2, first_classes=[("person",), ("car",)])


def lvis_v1(root: Path) -> Miniature:
    """Images of both parts of COCO; categories that are known to be absent, and one of which objects are missing."""
    names = {397133: "val2017/000000397133.jpg", 37777: "train2017/000000037777.jpg"}
    listed = [
        {
            "id": image_id,
            "coco_url": f"http://images.cocodataset.org/{name}",
            "height": SIZE[0],
            "width": SIZE[1],
            "neg_category_ids": [2],
            "not_exhaustive_category_ids": [4] if image_id == 397133 else [],
        }
        for image_id, name in names.items()
    ]
    annotations = [*_boxes(397133, 1, (4, 1, 4)), *_boxes(37777, 4, (1,))]
    categories = [
        {"id": 1, "name": "aerosol_can", "synonyms": ["aerosol_can", "spray_can"], "frequency": "c"},
        {"id": 2, "name": "air_conditioner", "synonyms": ["air_conditioner"], "frequency": "f"},
        {"id": 4, "name": "bow_(weapon)", "synonyms": ["bow_(weapon)"], "frequency": "r"},
    ]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    made = _write_instances(root, "lvis_v1_val.json", content, names)
    config = DatasetConfig("lvis_v1", str(root))
    first = [("aerosol can", "spray can"), ("air conditioner",), ("bow (weapon)",)]
    return replace(made, config=config, name="lvis_v1/val", classes=3, first_classes=first)


def folder(root: Path) -> Miniature:
    root.mkdir(parents=True)
    (root / "classes.txt").write_text("door, double door\nwall\nsky\n\n")
    labels = {name: _random(3, index) for index, name in enumerate(("a.b", "c"))}
    write_png(root / "labels/a.b.png", np.where(labels["a.b"] < 0, 255, labels["a.b"]).astype(np.uint8))
    write_png(root / "labels/c.png", np.where(labels["c"] < 0, 65535, labels["c"]).astype(np.uint16))
    images = {name: write_image(root / f"images/{name}.jpg", index) for index, name in enumerate(labels)}
    write_image(root / "images/without-labels.jpg")
    return Miniature(DatasetConfig("folder", str(root)), "folder", labels, images, 3, [("door", "double door")])


MINIATURES: list[Callable[[Path], Miniature]] = [
    ade20k_150, ade20k_847, pascal_context_459, pascal_context_59, voc_20, coco_stuff_171, coco_panoptic, micro_world,
    folder, ade20k_150_panoptic, cityscapes, coco_instances, lvis_v1,
]  # fmt: skip

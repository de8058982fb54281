"""Tables of an evaluation."""

import pyarrow as pa

from schemas.fields import field, schema

_BRANCH = field("branch", pa.string(), "where classes come from: proposals, clip, fused, oracle or true_masks")

# Of an evaluation: per chunk of images, pixels by true and predicted class. Cells without pixels have no row.
CONFUSION = schema(
    "confusion",
    [
        _BRANCH,
        field("label", pa.int32(), "true class, index into the classes of the data set"),
        field("predicted", pa.int32(), "predicted class", null="no class: no mask covers the pixels"),
        field("pixels", pa.int64(), "labelled pixels", unit="px"),
    ],
)

# Of each image, the classes that it shows or that were predicted in it: what a bootstrap over images draws from.
CLASS_PIXELS = schema(
    "class_pixels",
    [
        _BRANCH,
        field("image_id", pa.string(), "image"),
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("correct", pa.int64(), "labelled pixels of the class that were given it", unit="px"),
        field("predicted", pa.int64(), "labelled pixels that were given this class", unit="px"),
        field("labelled", pa.int64(), "labelled pixels of the class", unit="px"),
    ],
)

TRUE_REGIONS = schema(
    "true_regions",
    [
        field("image_id", pa.string(), "image"),
        field("label", pa.int32(), "true class; all pixels of it in the image are one masked region"),
        field("area", pa.int64(), "pixels of the region", unit="px"),
        field("rank", pa.int32(), "classes that CLIP finds more similar to the masked region than the true one"),
    ],
)

LABEL_MAPS = schema(
    "label_maps",
    [
        field("image_id", pa.string(), "image"),
        _BRANCH,
        field("miou", pa.float64(), "mean IoU of the classes that the image shows, 0..1", null="nothing is labelled"),
        field(
            "labels",
            pa.binary(),
            "PNG of the predicted classes, scaled down to 512 px (nearest): 8 bits, 255 no class; with more than 255 "
            "classes 16 bits, 65535 no class",
        ),
    ],
)

# Of data sets whose things are told apart, from here to detections.
TRUE_OBJECTS = schema(
    "true_objects",
    [
        field("image_id", pa.string(), "image"),
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("segments", pa.int32(), "true panoptic segments that are no crowds"),
        field("crowd_segments", pa.int32(), "those that are: they are neither found nor missed"),
        field("segments_without_pixels", pa.int32(), "those that nobody can find, of `segments`"),
        field("segments_of_other_area", pa.int32(), "segments of which the annotation file states another area"),
        field("instances", pa.list_(pa.int32(), 4), "objects that count for AP: all, small, medium, large"),
        field("crowd_instances", pa.int32(), "objects that are crowds"),
        field("instances_without_pixels", pa.int32(), "objects that nobody can find"),
    ],
)

PANOPTIC_COUNTS = schema(
    "panoptic_counts",
    [
        _BRANCH,
        field("image_id", pa.string(), "image"),
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("iou", pa.float64(), "sum of the IoU of matched segments"),
        field("tp", pa.int32(), "segments that match a true one, IoU above 1/2"),
        field("fp", pa.int32(), "segments that match none"),
        field("fn", pa.int32(), "true segments that match none"),
    ],
)

_BITS = "bit t of each: at an IoU of 0.5 + 0.05 * t; for objects of all sizes, small, medium, large"
DETECTIONS = schema(
    "detections",
    [
        _BRANCH,
        field("image_id", pa.string(), "image"),
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("score", pa.float32(), "class probability times mask quality; those of an image descend"),
        field("matched", pa.list_(pa.uint16(), 4), f"whether it takes an object; {_BITS}"),
        field("ignored", pa.list_(pa.uint16(), 4), f"whether it does not count; {_BITS}"),
    ],
)

EVALUATED_IMAGES = schema(
    "evaluated_images",
    [
        field("image_id", pa.string(), "image"),
        field("height", pa.int32(), "height of the image and its labels", unit="px"),
        field("width", pa.int32(), "width of the image and its labels", unit="px"),
        field("proposals", pa.int32(), "mask proposals of the image"),
        field("problem", pa.string(), "why there are no proposals", null="nothing wrong"),
    ],
)

_NO_INTERVAL = "fewer than ten images show it, or none are known: see `pipeline.evaluation.uncertainty`"


def _interval(name: str) -> list[pa.Field]:
    """Both ends of the 95 % interval of a figure."""
    return [
        field(f"{name}_{end}", pa.float64(), f"{end} end of its 95 % interval, 0..1", null=_NO_INTERVAL)
        for end in ("low", "high")
    ]


CLASS_SCORES = schema(
    "class_scores",
    [
        _BRANCH,
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("name", pa.string(), "first name of the class"),
        field("pixels", pa.int64(), "labelled pixels of the class", unit="px"),
        field("predicted_pixels", pa.int64(), "labelled pixels that were given this class", unit="px"),
        field("iou", pa.float64(), "intersection over union, 0..1", null="no pixel has this label"),
        *_interval("iou"),
        field("accuracy", pa.float64(), "share of the class's pixels that are right", null="no pixel has this label"),
    ],
)

OBJECT_SCORES = schema(
    "object_scores",
    [
        _BRANCH,
        field("label", pa.int32(), "class, index into the classes of the data set"),
        field("name", pa.string(), "first name of the class"),
        field("thing", pa.bool_(), "whether its objects are told apart"),
        field("pq", pa.float64(), "panoptic quality, 0..1", null="no true and no wrong segment, or no segments at all"),
        *_interval("pq"),
        field("sq", pa.float64(), "mean IoU of the matches, 0..1", null="likewise"),
        field("rq", pa.float64(), "F1 score of the segments, 0..1", null="likewise"),
        field("segments", pa.int64(), "true segments that are no crowds"),
        field("ap", pa.float64(), "average precision of masks, 0..1", null="no object counts, or no instances at all"),
        *_interval("ap"),
        field("ap50", pa.float64(), "that at IoU 0.5", null="likewise"),
        field("instances", pa.int64(), "objects that count for AP"),
        field("frequency", pa.string(), "r, c or f: how many training images of LVIS show it", null="not LVIS"),
    ],
)

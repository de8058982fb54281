"""Tables of what a CLIP knows of whole images: of jobs that measure it, and of training runs."""

import pyarrow as pa

from schemas.fields import FILE_SHA256, field, schema

_IMAGE_ID = field("image_id", pa.string(), "image, as its set calls it; unique in it, where the set can be trusted")
_INDEX = field("index", pa.int64(), "place of the image in its set, from 0")
_SHA256 = field("sha256", pa.string(), FILE_SHA256, null="it could not be read")
_PROBLEM = field("problem", pa.string(), "why the image could not be used, and counts nowhere", null="nothing wrong")

# Of zero-shot classification: a table a chunk, a row for each image.
CLASSIFIED_IMAGES = schema(
    "classified_images",
    [
        _INDEX,
        _IMAGE_ID,
        field("label", pa.int32(), "its class, index into the classes of the set"),
        field("nearest", pa.int32(), "the class whose text is most similar to the image", null="it could not be used"),
        field("rank", pa.int32(), "classes that CLIP finds more similar than its own", null="it could not be used"),
        _SHA256,
        _PROBLEM,
    ],
)

# Of retrieval: tables a chunk, a row for each image and for each caption of those that can be used.
RETRIEVAL_IMAGES = schema(
    "retrieval_images",
    [
        _INDEX,
        _IMAGE_ID,
        field("features", pa.list_(pa.float32()), "CLIP's embedding, of unit length", null="it could not be used"),
        _SHA256,
        _PROBLEM,
    ],
)
RETRIEVAL_CAPTIONS = schema(
    "retrieval_captions",
    [
        _INDEX,
        field("caption", pa.string(), "a caption of the image"),
        field("features", pa.list_(pa.float32()), "CLIP's embedding, of unit length"),
    ],
)

# Of zero-shot classification: a row for each class.
CLASS_ACCURACIES = schema(
    "class_accuracies",
    [
        field("label", pa.int32(), "class, index into the classes of the set"),
        field("name", pa.string(), "its name"),
        field("images", pa.int64(), "images of the class that could be used"),
        field("top1", pa.float64(), "share of them whose class is the most similar one, 0..1", null="it has no images"),
    ],
)

# Of a training run: a row for each figure of each set, before training and after every epoch.
RETENTION = schema(
    "retention",
    [
        field("stage", pa.string(), "pretrain, full or mask_prompt"),
        field("epoch", pa.float64(), "passes over the samples in this stage so far", unit="epochs"),
        field("step", pa.int64(), "steps in this stage so far; 0: before training"),
        field("set", pa.string(), "set of whole images, as its configuration calls it"),
        field(
            "measure",
            pa.string(),
            "top1, image_recall_at_1, …; images and rejected are counts",
        ),
        field("value", pa.float64(), "share, 0..1, or a count"),
    ],
)

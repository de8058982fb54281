"""The pyarrow schema of every table in an output directory.

Every field carries its description and, where it has one, its unit, in the field's metadata; `VERSION` is in
the schema's metadata and changes with any change of a field's name, type or meaning.
"""

import json
from importlib.resources import files

import pyarrow as pa

VERSION = 3


def _field(
    name: str,
    type_: pa.DataType,
    description: str,
    *,
    unit: str | None = None,
    null: str | None = None,
) -> pa.Field:
    """A field that is nullable only if `null` says what a null means."""
    metadata = {"description": description}
    if unit:
        metadata["unit"] = unit
    if null:
        metadata["null"] = null
    return pa.field(name, type_, nullable=null is not None, metadata=metadata)


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"table": table, "schema_version": str(VERSION)})


_IMAGE = [
    _field("image_id", pa.string(), "identifier of the image in its source; unique among the images that give pairs"),
    _field(
        "image_uri",
        pa.string(),
        "where the image was read from (fsspec URI; passwords, and except in listing/ signatures, as …); empty if the "
        "source names none",
    ),
]
_FILE_BYTES = "size of the image's file as it was read"
_FILE_SHA256 = "SHA-256 of the image's file as it was read, in hexadecimal"
_FRAME = [
    _field(
        "image_width",
        pa.int32(),
        "width of the upright image that boxes and masks refer to",
        unit="px",
    ),
    _field(
        "image_height",
        pa.int32(),
        "height of the upright image that boxes and masks refer to",
        unit="px",
    ),
]
_REGION = [
    _field("box_x0", pa.int32(), "left edge of the tight box", unit="px"),
    _field("box_y0", pa.int32(), "top edge of the tight box", unit="px"),
    _field("box_x1", pa.int32(), "right edge of the tight box, exclusive", unit="px"),
    _field("box_y1", pa.int32(), "bottom edge of the tight box, exclusive", unit="px"),
    _field("mask_rle", pa.string(), "mask in the image's frame: COCO compressed run-length counts"),
    _field("mask_area", pa.int64(), "foreground pixels of the mask", unit="px"),
    _field("proposal_index", pa.int32(), "place of the mask among the image's proposals"),
    _field("proposal_score", pa.float32(), "score that the proposal backend gave the mask"),
    _field("clip_score", pa.float32(), "cosine similarity of the masked region and the noun"),
    _field(
        "noun_margin",
        pa.float32(),
        "clip_score minus the best score of this mask with another noun of the image",
        null="the image has one noun",
    ),
]
_SHARD = [_field("shard", pa.int32(), "number of the shard")]

_NOUN = _field("noun", pa.string(), "the noun as the vocabulary has it: lemma or surface form (nouns.form), lower case")
_SURFACE = _field("surface", pa.string(), "the noun as it stands in the caption")
_PLACE = [
    _field("caption_index", pa.int32(), "place of the caption among the image's captions, from 0"),
    _field("char_start", pa.int32(), "first character of the noun in the caption", unit="characters"),
    _field("char_end", pa.int32(), "end of the noun in the caption, exclusive", unit="characters"),
]

# One row per image of the source, and one per input that cannot be used. Rows are sorted, so that "the images 256 to
# 511" means the same in every run.
LISTING = _schema(
    "listing",
    [
        *_IMAGE,
        _field(
            "byte_offset",
            pa.int64(),
            "first byte of the image in its tar",
            unit="bytes",
            null="a file of its own",
        ),
        _field(
            "byte_length",
            pa.int64(),
            "bytes of the image in its tar",
            unit="bytes",
            null="a file of its own",
        ),
        _field("width", pa.int32(), "width as the source states it", unit="px", null="not stated"),
        _field("height", pa.int32(), "height as the source states it", unit="px", null="not stated"),
        _field(
            "captions",
            pa.list_(pa.string()),
            "all captions of the image, in the order of the source",
        ),
        _field("problem", pa.string(), "why the row is rejected already", null="nothing wrong"),
    ],
)

CAPTIONS = _schema(
    "captions",
    [
        *LISTING,
        _field("captions_used", pa.int32(), "so many of the captions, from the first, were looked at for nouns"),
        _field(
            "caption_problems",
            pa.list_(pa.string()),
            "per caption that was looked at: why it gave no nouns, empty if it gave some",
        ),
        _field(
            "nouns",
            pa.list_(pa.struct([_NOUN, _SURFACE, *_PLACE])),
            "union over the captions that were looked at, each noun once, at its first place",
        ),
    ],
)

VOCABULARY = _schema(
    "vocabulary",
    [
        _NOUN,
        _field("images", pa.int64(), "images whose captions name it", unit="images"),
        _field("kept", pa.bool_(), "false where nouns.min_count or nouns.max_vocabulary left it out"),
        _field(
            "embedding",
            pa.list_(pa.float32()),
            "CLIP text embedding, unit length",
            null="not kept, so not embedded",
        ),
    ],
)

MANIFEST = _schema(
    "manifest",
    [
        _field("key", pa.string(), "key of the sample in the shard's tar"),
        *_SHARD,
        *_IMAGE,
        *_FRAME,
        _field("original_width", pa.int32(), "width before images.max_side was applied", unit="px"),
        _field("original_height", pa.int32(), "height before images.max_side was applied", unit="px"),
        _field("image_bytes", pa.int64(), f"{_FILE_BYTES}; 0 if it was never a file", unit="bytes"),
        _field("image_sha256", pa.string(), f"{_FILE_SHA256}; empty if it was never a file"),
        _NOUN,
        _SURFACE,
        _field("caption", pa.string(), "the caption that names it"),
        *_PLACE,
        *_REGION,
        _field(
            "mask_margin",
            pa.float32(),
            "clip_score minus the score of the noun's runner-up mask",
            null="the image has one mask",
        ),
        _field(
            "tar_offset",
            pa.int64(),
            "first byte of the sample in the shard's tar: the header of its first member",
            unit="bytes",
        ),
        _field(
            "tar_length",
            pa.int64(),
            "length of the sample in the shard's tar: all its members with their headers and padding",
            unit="bytes",
        ),
        _field("crc32", pa.uint32(), "CRC-32 of the sample's .jpg, .mask.png and .txt, one after the other"),
    ],
)

CANDIDATES = _schema(
    "candidates",
    [
        *_SHARD,
        *_IMAGE,
        *_FRAME,
        _NOUN,
        _field("rank", pa.int32(), "0 for the noun's best mask, 1 for the next, …"),
        *_REGION,
    ],
)

REJECTS = _schema(
    "rejects",
    [
        *_SHARD,
        *_IMAGE,
        _field(
            "caption_index",
            pa.int32(),
            "the caption that gave nothing",
            null="the whole image gave nothing",
        ),
        _field("image_bytes", pa.int64(), _FILE_BYTES, unit="bytes", null="it was not read"),
        _field("image_sha256", pa.string(), _FILE_SHA256, null="it was not read"),
        _field("stage", pa.string(), "captions, nouns, vocabulary, images, proposals, matching"),
        _field("reason", pa.string(), "short code of the reason"),
        _field("detail", pa.string(), "what was found, in words; empty where the code says all"),
    ],
)

# Beside a dataset that is whole without them: mining writes no such table.
QUALITY = _schema(
    "quality",
    [
        _field("key", pa.string(), "key of the pair, as the manifest of the shard has it, in its order"),
        _field("p_right", pa.float32(), "probability that the region shows what the noun names, 0..1"),
    ],
)

# One row per image that gave pairs or came as far as matching (mining with `keep_proposals`).
PROPOSALS = _schema(
    "proposals",
    [
        *_SHARD,
        *_IMAGE,
        *_FRAME,
        _field("mask_rles", pa.list_(pa.string()), "masks in the image's frame: COCO compressed run-length counts"),
        _field("scores", pa.list_(pa.float32()), "scores that the proposal backend gave the masks, best first"),
    ],
)

# Of two mined datasets, A and B: one row for each pair (image, noun) that differs, sorted by image and noun.
_ABSENT_A, _ABSENT_B, _ABSENT = "A has no such pair", "B has no such pair", "one of them has no such pair"
DIFFERENCES = _schema(
    "differences",
    [
        _field("category", pa.string(), "added (in B alone), lost (in A alone), moved (to another region) or shifted"),
        _field("reason", pa.string(), "code of the reason; unexplained if the tables do not tell"),
        _field("detail", pa.string(), "what was found, in words; empty where the code says all"),
        _field("image_id", pa.string(), "identifier of the image in its source"),
        _NOUN,
        _field("key_a", pa.string(), "key of the sample in A", null=_ABSENT_A),
        _field("key_b", pa.string(), "key of the sample in B", null=_ABSENT_B),
        _field("iou", pa.float32(), "intersection over union of the two masks, 0..1", null=_ABSENT),
        _field("score_a", pa.float32(), "clip_score in A", null=_ABSENT_A),
        _field("score_b", pa.float32(), "clip_score in B", null=_ABSENT_B),
        _field("rank_change", pa.float32(), "change of the score's rank (0..1) in the pairs of both", null=_ABSENT),
        _field("mask_area_a", pa.int64(), "foreground pixels of the mask in A", unit="px", null=_ABSENT_A),
        _field("mask_area_b", pa.int64(), "foreground pixels of the mask in B", unit="px", null=_ABSENT_B),
        _field("image_resized", pa.bool_(), "the image was mined at two sizes", null=_ABSENT),
        _field(
            "image_changed",
            pa.bool_(),
            "the image's file has another content in B",
            null="one of them has no such pair, or does not tell its image's SHA-256",
        ),
    ],
)

# Of two mined datasets: one row for each noun that has a pair in either, sorted by noun.
NOUN_DIFFERENCES = _schema(
    "noun_differences",
    [
        _NOUN,
        _field("pairs_a", pa.int64(), "pairs in A"),
        _field("pairs_b", pa.int64(), "pairs in B"),
        _field("shared", pa.int64(), "images that have the pair in both"),
        _field("agreeing", pa.int64(), "of these, those whose regions agree"),
        _field("images_a", pa.int64(), "images of A whose captions name it", unit="images", null="not in A's captions"),
        _field("images_b", pa.int64(), "images of B whose captions name it", unit="images", null="not in B's captions"),
        _field("kept_a", pa.bool_(), "whether it is in A's vocabulary", null="not in A's captions"),
        _field("kept_b", pa.bool_(), "whether it is in B's vocabulary", null="not in B's captions"),
    ],
)

# Of a mined dataset B that is compared with A: the pairs whose regions a CLIP finds nearest to a class, or to two.
NEAREST_PAIRS = _schema(
    "nearest_pairs",
    [
        _field("class", pa.string(), "name of the class; of two that are confused, the true one"),
        _field("taken_for", pa.string(), "the class that it is taken for", null="one class was asked for"),
        _field("rank", pa.int32(), "0 for the nearest pair, 1 for the next, …"),
        _field("key", pa.string(), "key of the pair in B"),
        _field("image_id", pa.string(), "identifier of the image in its source"),
        _NOUN,
        _field("similarity", pa.float32(), "cosine similarity of the masked region and the class"),
        _field(
            "similarity_taken_for",
            pa.float32(),
            "cosine similarity of the masked region and the class that it is taken for",
            null="one class was asked for",
        ),
        _field("category", pa.string(), "what became of the pair since A: added, moved, shifted or same"),
    ],
)

# Of two evaluations of one data set beside two mined datasets: one row a class, the one that lost most first.
CLASS_CHANGES = _schema(
    "class_changes",
    [
        _field("name", pa.string(), "first name of the class"),
        _field("iou_a", pa.float64(), "intersection over union in the first evaluation, 0..1"),
        _field("iou_b", pa.float64(), "in the second one"),
        _field("nouns", pa.list_(pa.string()), "mined nouns that are one of its names, in singular or plural"),
        _field("pairs_a", pa.int64(), "pairs of these nouns in A"),
        _field("pairs_b", pa.int64(), "pairs of these nouns in B"),
    ],
)

_BRANCH = _field("branch", pa.string(), "where classes come from: proposals, clip, fused, oracle or true_masks")

# One row per log line of a training run, and one per validation.
METRICS = _schema(
    "metrics",
    [
        _field("stage", pa.string(), "pretrain, full or mask_prompt"),
        _field("epoch", pa.float64(), "passes over the samples in this stage so far", unit="epochs"),
        _field("step", pa.int64(), "steps in this stage so far", unit="steps"),
        _field("loss", pa.float64(), "mean over the steps since the row before", null="a validation"),
        _field("learning_rate", pa.float64(), "learning rate of the last step", null="a validation"),
        _field("logit_scale", pa.float64(), "factor on the cosine similarities in the loss", null="a validation"),
        _field("regions_per_second", pa.float64(), "over all workers", unit="1/s", null="a validation"),
        _field("waiting_share", pa.float64(), "share of the time spent waiting for data", null="a validation"),
        _field("accuracy_top1", pa.float64(), "share of held-out regions nearest to their noun", null="a log line"),
        _field("accuracy_top5", pa.float64(), "share with their noun among the five nearest", null="a log line"),
    ],
)

# Of a training run: one table a validation, a row for each region, sorted by key.
NEAREST = _schema(
    "nearest",
    [
        _field("key", pa.string(), "key of the region's sample"),
        _field("noun", pa.string(), "its noun"),
        _field("nearest", pa.string(), "the noun whose embedding is most similar to that of the masked region"),
        _field("rank", pa.int32(), "nouns that are more similar than its own"),
        _field("similarity", pa.float32(), "cosine similarity of the masked region and its noun"),
        _field("nearest_similarity", pa.float32(), "cosine similarity of the masked region and the nearest noun"),
    ],
)

# Of an evaluation: per chunk of images, pixels by true and predicted class. Cells without pixels have no row.
CONFUSION = _schema(
    "confusion",
    [
        _BRANCH,
        _field("label", pa.int32(), "true class, index into the classes of the data set"),
        _field("predicted", pa.int32(), "predicted class", null="no class: no mask covers the pixels"),
        _field("pixels", pa.int64(), "labelled pixels", unit="px"),
    ],
)

TRUE_REGIONS = _schema(
    "true_regions",
    [
        _field("image_id", pa.string(), "image"),
        _field("label", pa.int32(), "true class; all pixels of it in the image are one masked region"),
        _field("area", pa.int64(), "pixels of the region", unit="px"),
        _field("rank", pa.int32(), "classes that CLIP finds more similar to the masked region than the true one"),
    ],
)

LABEL_MAPS = _schema(
    "label_maps",
    [
        _field("image_id", pa.string(), "image"),
        _BRANCH,
        _field("miou", pa.float64(), "mean IoU of the classes that the image shows, 0..1", null="nothing is labelled"),
        _field(
            "labels",
            pa.binary(),
            "PNG of the predicted classes, scaled down to 512 px (nearest): 8 bits, 255 no class; with more than 255 "
            "classes 16 bits, 65535 no class",
        ),
    ],
)

EVALUATED_IMAGES = _schema(
    "evaluated_images",
    [
        _field("image_id", pa.string(), "image"),
        _field("height", pa.int32(), "height of the image and its labels", unit="px"),
        _field("width", pa.int32(), "width of the image and its labels", unit="px"),
        _field("proposals", pa.int32(), "mask proposals of the image"),
        _field("problem", pa.string(), "why there are no proposals", null="nothing wrong"),
    ],
)

CLASS_SCORES = _schema(
    "class_scores",
    [
        _BRANCH,
        _field("label", pa.int32(), "class, index into the classes of the data set"),
        _field("name", pa.string(), "first name of the class"),
        _field("pixels", pa.int64(), "labelled pixels of the class", unit="px"),
        _field("predicted_pixels", pa.int64(), "labelled pixels that were given this class", unit="px"),
        _field("iou", pa.float64(), "intersection over union, 0..1", null="no pixel has this label"),
        _field("accuracy", pa.float64(), "share of the class's pixels that are right", null="no pixel has this label"),
    ],
)


def sample_schema() -> dict:
    """The JSON schema of a sample's `KEY.json`."""
    return json.loads(files(__package__).joinpath("sample.schema.json").read_text())

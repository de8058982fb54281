"""Tables of what differs between two mined datasets."""

import pyarrow as pa

from schemas.fields import NOUN, PHRASE, field, schema

# Of two mined datasets, A and B: one row for each pair (image, noun) that differs, sorted by image and noun.
_ABSENT_A, _ABSENT_B, _ABSENT = "A has no such pair", "B has no such pair", "one of them has no such pair"
DIFFERENCES = schema(
    "differences",
    [
        field("category", pa.string(), "added (in B alone), lost (in A alone), moved (to another region) or shifted"),
        field("reason", pa.string(), "code of the reason; unexplained if the tables do not tell"),
        field("detail", pa.string(), "what was found, in words; empty where the code says all"),
        field("image_id", pa.string(), "identifier of the image in its source"),
        NOUN,
        PHRASE[0],
        field("key_a", pa.string(), "key of the sample in A", null=_ABSENT_A),
        field("key_b", pa.string(), "key of the sample in B", null=_ABSENT_B),
        field("iou", pa.float32(), "intersection over union of the two masks, 0..1", null=_ABSENT),
        field("score_a", pa.float32(), "clip_score in A", null=_ABSENT_A),
        field("score_b", pa.float32(), "clip_score in B", null=_ABSENT_B),
        field("rank_change", pa.float32(), "change of the score's rank (0..1) in the pairs of both", null=_ABSENT),
        field("mask_area_a", pa.int64(), "foreground pixels of the mask in A", unit="px", null=_ABSENT_A),
        field("mask_area_b", pa.int64(), "foreground pixels of the mask in B", unit="px", null=_ABSENT_B),
        field("image_resized", pa.bool_(), "the image was mined at two sizes", null=_ABSENT),
        field(
            "image_changed",
            pa.bool_(),
            "the image's file has another content in B",
            null="one of them has no such pair, or does not tell its image's SHA-256",
        ),
    ],
)

# Of two mined datasets: one row for each noun that has a pair in either, sorted by noun.
NOUN_DIFFERENCES = schema(
    "noun_differences",
    [
        NOUN,
        field("pairs_a", pa.int64(), "pairs in A"),
        field("pairs_b", pa.int64(), "pairs in B"),
        field("shared", pa.int64(), "images that have the pair in both"),
        field("agreeing", pa.int64(), "of these, those whose regions agree"),
        field("images_a", pa.int64(), "images of A whose captions name it", unit="images", null="not in A's captions"),
        field("images_b", pa.int64(), "images of B whose captions name it", unit="images", null="not in B's captions"),
        field("kept_a", pa.bool_(), "whether it is in A's vocabulary", null="not in A's captions"),
        field("kept_b", pa.bool_(), "whether it is in B's vocabulary", null="not in B's captions"),
    ],
)

# Of a mined dataset B that is compared with A: the pairs whose regions a CLIP finds nearest to a class, or to two.
NEAREST_PAIRS = schema(
    "nearest_pairs",
    [
        field("class", pa.string(), "name of the class; of two that are confused, the true one"),
        field("taken_for", pa.string(), "the class that it is taken for", null="one class was asked for"),
        field("rank", pa.int32(), "0 for the nearest pair, 1 for the next, …"),
        field("key", pa.string(), "key of the pair in B"),
        field("image_id", pa.string(), "identifier of the image in its source"),
        NOUN,
        field("similarity", pa.float32(), "cosine similarity of the masked region and the class"),
        field(
            "similarity_taken_for",
            pa.float32(),
            "cosine similarity of the masked region and the class that it is taken for",
            null="one class was asked for",
        ),
        field("category", pa.string(), "what became of the pair since A: added, moved, shifted or same"),
    ],
)

# Of two evaluations of one data set beside two mined datasets: one row a class, the one that lost most first.
CLASS_CHANGES = schema(
    "class_changes",
    [
        field("name", pa.string(), "first name of the class"),
        field("iou_a", pa.float64(), "intersection over union in the first evaluation, 0..1"),
        field("iou_b", pa.float64(), "in the second one"),
        field("nouns", pa.list_(pa.string()), "mined nouns that are one of its names, in singular or plural"),
        field("pairs_a", pa.int64(), "pairs of these nouns in A"),
        field("pairs_b", pa.int64(), "pairs of these nouns in B"),
    ],
)

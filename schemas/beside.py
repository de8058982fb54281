"""Tables that stand beside a mined dataset, which is whole without them."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.fields import FILE_SHA256, IMAGE, NOUN, PHRASE, SHARD, field, schema

QUALITY = schema(
    "quality",
    [
        field("key", pa.string(), "key of the pair, as the manifest of the shard has it, in its order"),
        field("p_right", pa.float32(), "probability that the region shows what the noun names, 0..1"),
    ],
)

# One row per image whose file held a picture, in the order of the captions table.
HASHES = schema(
    "hashes",
    [
        *SHARD,
        *IMAGE,
        field("image_sha256", pa.string(), f"{FILE_SHA256}; empty if it was never a file"),
        field(
            "perceptual_hash",
            pa.uint64(),
            "near-duplicates have nearly the same bits: bit_count(xor(a, b)) is small; 0: the picture is plain",
        ),
    ],
)

# Of the images of a dataset, one row for each that has near-duplicates, group by group.
DUPLICATES = schema(
    "duplicates",
    [
        field("group", pa.int64(), "number of the group of near-duplicates, in the order of their first images"),
        *HASHES,
        field(
            "distance", pa.int32(), "bits in which its hash differs from that of the group's first image", unit="bits"
        ),
    ],
)

# Of images that one evaluates on: a row for each of them and each mined image that is a copy of it; where there is
# none, one row.
_NO_COPY = "no mined image is a copy"
LEAKAGE = schema(
    "leakage",
    [
        field("image", pa.string(), "path of the image in its folder; of a mined dataset, its image_id"),
        field("image_sha256", pa.string(), FILE_SHA256, null="it could not be read, or was never a file"),
        field("problem", pa.string(), "why the image could not be compared", null="nothing wrong"),
        field("mined_image_id", pa.string(), "identifier of the mined image in its source", null=_NO_COPY),
        field("mined_image_uri", pa.string(), "where the mined image was read from", null=_NO_COPY),
        field("distance", pa.int32(), "bits of 64 in which their perceptual hashes differ", unit="bits", null=_NO_COPY),
        field("mined_key", pa.string(), "what the keys of the mined image's pairs begin with", null="it has no pairs"),
        field("pairs", pa.int64(), "pairs that were cut from the mined image", null=_NO_COPY),
    ],
)

# What further CLIPs say of the candidates, which have a row each, in the order of their table.
# The columns of each verifier follow: `verified_schema`.
VERIFIED = schema(
    "verified",
    [
        field("key", pa.string(), "key of the pair that the candidate became", null="it became none"),
        *SHARD,
        IMAGE[0],
        NOUN,
        PHRASE[0],
        field("rank", pa.int32(), "of the candidate by clip_score: 0 for the best mask of the noun (or phrase)"),
        field(
            "problem", pa.string(), "why columns of a verifier are null: what is wrong with the image", null="nothing"
        ),
    ],
)

_UNVERIFIED = "the image could not be read again: see problem"
_VERIFIER = [
    field("score", pa.float32(), "cosine similarity of the masked region and the noun", null=_UNVERIFIED),
    field(
        "noun_margin",
        pa.float32(),
        "score minus the best score of this mask with another noun of the image; below 0: another one fits it better",
        null="the image has one noun with candidates, or could not be read again",
    ),
    field(
        "mask_margin",
        pa.float32(),
        "score minus the best score of another candidate of this noun; below 0: another one fits it better",
        null="the noun has one candidate, or the image could not be read again",
    ),
    field("mask_rank", pa.int32(), "candidates of the noun that score higher", null=_UNVERIFIED),
    field("noun_rank", pa.int32(), "nouns of the image that score higher on this mask", null=_UNVERIFIED),
]
VERIFIER_COLUMNS = tuple(column.name for column in _VERIFIER)


def verified_schema(verifiers: Sequence[str]) -> pa.Schema:
    """The schema of a table `verified` with the columns `NAME_score`, … of each verifier."""
    columns = [column.with_name(f"{name}_{column.name}") for name in verifiers for column in _VERIFIER]
    return pa.schema([*VERIFIED, *columns], metadata=VERIFIED.metadata)

"""Tables of a mined dataset."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.fields import (
    FILE_BYTES,
    FILE_SHA256,
    FRAME,
    IMAGE,
    NOUN,
    PHRASE,
    PLACE,
    REGION,
    SHARD,
    SURFACE,
    field,
    schema,
)

# One row per image of the source, and one per input that cannot be used. Rows are sorted, so that "the images 256 to
# 511" means the same in every run.
LISTING = schema(
    "listing",
    [
        *IMAGE,
        field(
            "byte_offset",
            pa.int64(),
            "first byte of the image in its tar",
            unit="bytes",
            null="a file of its own",
        ),
        field(
            "byte_length",
            pa.int64(),
            "bytes of the image in its tar",
            unit="bytes",
            null="a file of its own",
        ),
        field("width", pa.int32(), "width as the source states it", unit="px", null="not stated"),
        field("height", pa.int32(), "height as the source states it", unit="px", null="not stated"),
        field(
            "captions",
            pa.list_(pa.string()),
            "all captions of the image, in the order of the source",
        ),
        field("problem", pa.string(), "why the row is rejected already", null="nothing wrong"),
    ],
)

CAPTIONS = schema(
    "captions",
    [
        *LISTING,
        field("captions_used", pa.int32(), "so many of the captions, from the first, were looked at for nouns"),
        field(
            "caption_problems",
            pa.list_(pa.string()),
            "per caption that was looked at: why it gave no nouns, empty if it gave some",
        ),
        field(
            "nouns",
            pa.list_(pa.struct([NOUN, SURFACE, *PLACE, *PHRASE])),
            "union over the captions that were looked at, each noun (or phrase) once, at its first place",
        ),
    ],
)


def with_kept(table: pa.Schema, fields: Sequence[pa.Field]) -> pa.Schema:
    """`LISTING` or `CAPTIONS` with the column `kept`, which is last; as it is if nothing is kept.

    Args:
        fields: of the columns of the source that `captions.keep` names.
    """
    if not fields:
        return table
    return table.append(field("kept", pa.struct(fields), "further columns of the source, by captions.keep"))


VOCABULARY = schema(
    "vocabulary",
    [
        NOUN,
        field("phrase", pa.string(), "a phrase of a kept noun, that is matched for it", null="it is the noun itself"),
        field("images", pa.int64(), "images whose captions name it", unit="images"),
        field("kept", pa.bool_(), "false where nouns.min_count or nouns.max_vocabulary left it out"),
        field(
            "embedding",
            pa.list_(pa.float32()),
            "CLIP text embedding, unit length",
            null="not kept, so not embedded",
        ),
    ],
)

MANIFEST = schema(
    "manifest",
    [
        field("key", pa.string(), "key of the sample in the shard's tar"),
        *SHARD,
        *IMAGE,
        *FRAME,
        field("original_width", pa.int32(), "width before images.max_side was applied", unit="px"),
        field("original_height", pa.int32(), "height before images.max_side was applied", unit="px"),
        field("image_bytes", pa.int64(), f"{FILE_BYTES}; 0 if it was never a file", unit="bytes"),
        field("image_sha256", pa.string(), f"{FILE_SHA256}; empty if it was never a file"),
        NOUN,
        SURFACE,
        field("caption", pa.string(), "the caption that names it"),
        *PLACE,
        *PHRASE,
        field(
            "negatives",
            pa.list_(pa.string()),
            "texts that are near to the noun or phrase and wrong for the region",
            null="none were asked for",
        ),
        *REGION,
        field(
            "mask_margin",
            pa.float32(),
            "clip_score minus the score of the noun's runner-up mask",
            null="the image has one mask",
        ),
        field(
            "tar_offset",
            pa.int64(),
            "first byte of the sample in the shard's tar: the header of its first member",
            unit="bytes",
        ),
        field(
            "tar_length",
            pa.int64(),
            "length of the sample in the shard's tar: all its members with their headers and padding",
            unit="bytes",
        ),
        field("crc32", pa.uint32(), "CRC-32 of the sample's .jpg, .mask.png and .txt, one after the other"),
    ],
)

CANDIDATES = schema(
    "candidates",
    [
        *SHARD,
        *IMAGE,
        *FRAME,
        NOUN,
        PHRASE[0],
        field("rank", pa.int32(), "0 for the best mask of the noun (or phrase), 1 for the next, …"),
        *REGION,
    ],
)

REJECTS = schema(
    "rejects",
    [
        *SHARD,
        *IMAGE,
        field(
            "caption_index",
            pa.int32(),
            "the caption that gave nothing",
            null="the whole image gave nothing",
        ),
        field("noun", pa.string(), "the noun that found nothing", null="it is about the image, or a caption"),
        field("image_bytes", pa.int64(), FILE_BYTES, unit="bytes", null="it was not read"),
        field("image_sha256", pa.string(), FILE_SHA256, null="it was not read"),
        field("stage", pa.string(), "captions, nouns, vocabulary, images, proposals, matching"),
        field("reason", pa.string(), "short code of the reason"),
        field("detail", pa.string(), "what was found, in words; empty where the code says all"),
    ],
)

# One row per image that gave pairs or came as far as matching (mining with `keep_proposals`).
PROPOSALS = schema(
    "proposals",
    [
        *SHARD,
        *IMAGE,
        *FRAME,
        field("mask_rles", pa.list_(pa.string()), "masks in the image's frame: COCO compressed run-length counts"),
        field("scores", pa.list_(pa.float32()), "scores that the proposal backend gave the masks, best first"),
        field("backends", pa.list_(pa.string()), "backend of each mask", null="kept by a version that did not say"),
        field(
            "prompted_by",
            pa.list_(pa.list_(pa.string())),
            "names that each mask answers",
            null="no backend was asked by names",
        ),
        field(
            "prompt_scores",
            pa.list_(pa.list_(pa.float32())),
            "how well each mask answers each of its names, 0..1",
            null="no backend was asked by names",
        ),
        field(
            "asked",
            pa.list_(pa.string()),
            "names that the image was asked for",
            null="no backend was asked by names",
        ),
    ],
)

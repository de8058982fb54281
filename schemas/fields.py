"""What tables have in common: the version, how a field is described, and the fields of several tables."""

import pyarrow as pa

VERSION = 4
"""Changes with any change of a field's name, type or meaning."""


def field(
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


def schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    """The schema of a table, which says its name and the version."""
    return pa.schema(fields, metadata={"table": table, "schema_version": str(VERSION)})


IMAGE = [
    field("image_id", pa.string(), "identifier of the image in its source; unique among the images that give pairs"),
    field(
        "image_uri",
        pa.string(),
        "where the image was read from (fsspec URI; passwords, and except in listing/ signatures, as …); empty if the "
        "source names none",
    ),
]
FILE_BYTES = "size of the image's file as it was read"
FILE_SHA256 = "SHA-256 of the image's file as it was read, in hexadecimal"
FRAME = [
    field(
        "image_width",
        pa.int32(),
        "width of the upright image that boxes and masks refer to",
        unit="px",
    ),
    field(
        "image_height",
        pa.int32(),
        "height of the upright image that boxes and masks refer to",
        unit="px",
    ),
]
REGION = [
    field("box_x0", pa.int32(), "left edge of the tight box", unit="px"),
    field("box_y0", pa.int32(), "top edge of the tight box", unit="px"),
    field("box_x1", pa.int32(), "right edge of the tight box, exclusive", unit="px"),
    field("box_y1", pa.int32(), "bottom edge of the tight box, exclusive", unit="px"),
    field("mask_rle", pa.string(), "mask in the image's frame: COCO compressed run-length counts"),
    field("mask_area", pa.int64(), "foreground pixels of the mask", unit="px"),
    field("proposal_index", pa.int32(), "place of the mask among the image's proposals"),
    field("proposal_score", pa.float32(), "score that the proposal backend gave the mask"),
    field("backend", pa.string(), "proposal backend that made the mask", null="mined by a version that kept none"),
    field("prompted_by", pa.string(), "name that the mask was asked for by", null="it was not asked for by a name"),
    field("prompt_score", pa.float32(), "how well the mask answers that name, 0..1", null="likewise"),
    field("clip_score", pa.float32(), "cosine similarity of the masked region and the noun"),
    field(
        "noun_margin",
        pa.float32(),
        "clip_score minus the best score of this mask with another noun of the image",
        null="the image has one noun",
    ),
]
SHARD = [field("shard", pa.int32(), "number of the shard")]

NOUN = field("noun", pa.string(), "the noun as the vocabulary has it: lemma or surface form (nouns.form), lower case")
SURFACE = field("surface", pa.string(), "the noun as it stands in the caption")
PLACE = [
    field("caption_index", pa.int32(), "place of the caption among the image's captions, from 0"),
    field("char_start", pa.int32(), "first character of the noun in the caption", unit="characters"),
    field("char_end", pa.int32(), "end of the noun in the caption, exclusive", unit="characters"),
]

_NO_PHRASES = "nouns.form is not phrase"
PHRASE = [
    field("phrase", pa.string(), "the noun with what stands before it and can be seen, lower case", null=_NO_PHRASES),
    field("phrase_start", pa.int32(), "first character of the phrase", unit="characters", null=_NO_PHRASES),
    field("phrase_end", pa.int32(), "end of the phrase, exclusive", unit="characters", null=_NO_PHRASES),
    field("attributes", pa.list_(pa.string()), "words of the phrase that say how it looks", null=_NO_PHRASES),
]

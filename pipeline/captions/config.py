"""The configuration of the caption source."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.configuration.markers import LocalPath


@dataclass
class CaptionsConfig:
    """Where the images and their captions are."""

    format: Literal["coco", "table", "webdataset"]
    """coco: COCO Captions JSON; table: Parquet, CSV, TSV, or .txt with commas or tabs; webdataset: image-text tars."""

    path: Annotated[str, LocalPath.ANY]
    """coco: the JSON file (also .json.gz). table and webdataset: a file, a directory, a glob, or a
    brace pattern such as "{00000..00041}.tar" (quoted, or the shell expands it)."""

    images: Annotated[str | None, LocalPath.ANY] = None
    """Directory, prefix or zip archive that relative image names are in, for example data/val2017,
    s3://bucket/images.zip or zip://val2017::s3://bucket/val2017.zip (a directory in an archive).
    coco: unset means the coco_url of each image. webdataset: not used. A name with backslashes that is not there is
    looked for with slashes. Names stay inside: "../1.jpg" and chains of URLs ("a::b") are rejected; whole addresses
    in place of a name may be local paths, s3, gs, az, abfs, hf, http and https."""

    image_column: str = "image"
    """table: the column with the path or URI of the image; in Parquet it may hold the pictures themselves, as Hugging
    Face `datasets` writes them."""

    caption_column: str = "caption"
    """table: the column with a caption, or with a list of captions. webdataset: the extension or the key of KEY.json
    with the caption, for example "text" for KEY.text or {"text": …}; KEY.txt comes first if this is "caption"."""

    id_column: str | None = None
    """table: the column that identifies an image; unset: the image column does, or FILE/ROW
    for pictures in the table itself."""

    columns: list[str] | None = None
    """table: the names of the columns of CSV and TSV files without a header, in their order, for example
    "[caption, url]"; unset: the first line names them."""

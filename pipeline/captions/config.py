"""The configuration of the caption source."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.configuration.markers import AbsentMeans, LocalPath


@dataclass
class CaptionsConfig:
    """Where the images and their captions are."""

    format: Literal["coco", "table", "webdataset", "karpathy", "flickr", "folder"]
    """coco: COCO Captions JSON; table: Parquet and Arrow, also as Hugging Face `datasets` writes them, CSV, TSV, JSON
    lines, or .txt with commas or tabs; webdataset: image-text tars; karpathy: dataset_coco.json, dataset_flickr30k.json
    and the like; flickr: the caption files of Flickr8k and Flickr30k; folder: images with NAME.txt beside each."""

    path: Annotated[str, LocalPath.ANY]
    """coco, karpathy and flickr: the file (also .gz). folder: the folder, with all below it. table and webdataset: a
    file, a directory, a glob, or a brace pattern such as "{00000..00041}.tar" (quoted, or the shell expands it). Also
    hf://datasets/ORG/NAME@REVISION/data: a branch is read at the commit that it is when the job begins; the token is
    that of `hf auth login` or HF_TOKEN."""

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
    """table: the column with a caption, or with a list of captions (also as text, ["a", "b"]). webdataset: the
    extension or the key of KEY.json with the caption, for example "text" for KEY.text or {"text": …}; KEY.txt comes
    first if this is "caption"."""

    caption_columns: list[Annotated[str, AbsentMeans(None)]] | None = None
    """table: several columns with captions, in the order in which they count, in place of `caption_column`. Of a row
    those that are not empty are used."""

    id_column: str | None = None
    """table: the column that identifies an image; unset: the image column does, or FILE/ROW
    for pictures in the table itself."""

    columns: list[str] | None = None
    """table: the names of the columns of CSV and TSV files without a header, in their order, for example
    "[caption, url]"; unset: the first line names them."""

    keep: list[Annotated[str, AbsentMeans([])]] = field(default_factory=list)
    """Further columns, or fields of an image in JSON, that go along into the captions table, in its column `kept`, for
    example "[licence, url]". Of an image with several rows those of its first one. From Parquet and Arrow they have
    their types, from all other formats they are texts."""

    where: Annotated[str | None, AbsentMeans(None)] = None
    """An SQL condition on columns (or fields of an image in JSON) of each row, for example
    "nsfw = 'UNLIKELY' and try_cast(width as int) >= 256". Rows that do not fulfil it are not listed; dataset.json says
    how many. A column of CSV, TSV or JSON is a text, hence try_cast."""

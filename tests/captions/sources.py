"""Small sources of captions in every format, and the rows that they list."""

import io
import json
import tarfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.captions import CaptionsConfig, open_captions
from schemas import LISTING


def rows_of(config: CaptionsConfig) -> list[dict]:
    """All rows of a source, without the fields that are null."""
    table = pa.Table.from_batches(open_captions(config).batches(), LISTING)
    return [{k: v for k, v in row.items() if v is not None} for row in table.to_pylist()]


def good(image_id: str, uri: str, *captions: str, **more: object) -> dict:
    return {"image_id": image_id, "image_uri": uri, "captions": list(captions), **more}


def bad(image_id: str, uri: str, problem: str, *captions: str, **more: object) -> dict:
    return good(image_id, uri, *captions, problem=problem, **more)


def coco(path: Path, images: list[dict], annotations: list[dict]) -> CaptionsConfig:
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return CaptionsConfig("coco", str(path), images=str(path.parent))


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, index=False)


def write_parquet(rows: pd.DataFrame, path: Path) -> None:
    rows.to_parquet(path, row_group_size=7)


def write_tar(path: Path, members: list[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT) -> None:
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def sample(key: str, image: bytes = b"image", text: str = "text", extension: str = "jpg") -> list:
    description = json.dumps({"caption": text, "width": 4, "height": 3, "status": "success"})
    return [
        (f"{key}.{extension}", image),
        (f"{key}.json", description.encode()),
        (f"{key}.txt", text.encode()),
    ]


def numbered_table(folder: Path, count: int) -> CaptionsConfig:
    names = [f"/{number:06d}.jpg" for number in range(count)]
    table = pa.table({"image": names, "caption": [f"caption of {name}" for name in names]})
    pq.write_table(table, folder / "captions.parquet")
    return CaptionsConfig("table", str(folder / "captions.parquet"))

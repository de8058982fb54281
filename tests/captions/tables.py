"""What a table lists."""

from pathlib import Path

import pytest

from pipeline.captions import CaptionsConfig, open_captions
from pipeline.errors import UserError


def listed(path: Path | str, images: str | None = "/images", **options: object) -> list[dict]:
    config = CaptionsConfig("table", str(path), images=None, **options)
    config.images = images and str(Path(path).parent if images == "/images" else images)
    rows = [row for batch in open_captions(config).batches() for row in batch.to_pylist()]
    return [{k: v for k, v in row.items() if v is not None} for row in rows]


def captions(path: Path | str, **options: object) -> dict[str, list[str] | str]:
    """By id the captions, or what is wrong."""
    rows = listed(path, **options)
    assert len({row["image_id"] for row in rows}) == len(rows)
    return {row["image_id"]: row.get("problem", row["captions"]) for row in rows}


def message(path: Path | str, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        listed(path, **options)
    return str(caught.value)

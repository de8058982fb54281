"""Annotations and captions that do not fit together are said before the work begins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.captions import CaptionsConfig, open_captions
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig
from pipeline.mining.plan import measure_source
from pipeline.proposals import load_proposer
from tests.proposals.coco_files import BOX, IMAGE, INSIDE, OTHER, config, mined, pixels


def planned(tmp_path: Path, annotations: str, captions: CaptionsConfig, **options: Any) -> None:
    proposals = config(annotations, **options)
    mine = MineConfig(captions, str(tmp_path / "out"), proposals=proposals)
    measure_source(mine, open_captions(captions), load_proposer(proposals))


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., CaptionsConfig]:
    def table(*images: str) -> CaptionsConfig:
        path = tmp_path / "captions.csv"
        path.write_text("image,caption\n" + "".join(f"{image},a cat\n" for image in images))
        return CaptionsConfig("table", str(path), images=str(tmp_path))

    return table


def test_a_table_without_ids_is_matched_by_file_names(write, table, tmp_path, capsys):
    annotations = write({"segmentation": [BOX]})
    planned(tmp_path, annotations, table("1.jpg", "2.jpg"))
    assert capsys.readouterr().err == ""
    for asked in ("1.jpg", "1"):
        assert pixels(asked, annotations) == [INSIDE.tolist()]


def test_file_names_with_backslashes(write):
    annotations = write({"segmentation": [BOX]}, images=[IMAGE | {"file_name": "train\\a.b.jpg"}, OTHER])
    for asked in ("train/a.b.jpg", "train\\a.b.jpg", "train/a.b"):
        assert pixels(asked, annotations) == [INSIDE.tolist()]


def test_a_file_name_of_two_images_means_neither(write):
    annotations = write({"segmentation": [BOX]}, images=[IMAGE, OTHER, IMAGE | {"id": 5}])
    assert [reject["reason"] for reject in mined(annotations, "1.jpg").rejects] == ["not_annotated"]


def test_ids_that_never_meet(write, table, tmp_path):
    annotations = write({"segmentation": [BOX]})
    with pytest.raises(UserError, match=r"none of the 2 images .*'x/1\.jpg'.*here '1'; set captions\.id_column"):
        planned(tmp_path, annotations, table("x/1.jpg", "x/2.jpg"))
    planned(tmp_path, annotations, table("x/1.jpg", "2.jpg"))


def test_left_out_objects_are_said_once(write, table, tmp_path, capsys):
    annotations = write({"segmentation": [BOX, [1, 2]]}, {"segmentation": [[1, 2, 3, 4]]})
    planned(tmp_path, annotations, table("1.jpg"))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: proposals.options.annotations: of ")
    assert "2 of annotations have a polygon of fewer than three points" in line


def test_all_crowds(write, table, tmp_path):
    crowds = [{"segmentation": [BOX], "iscrowd": "1"}] * 2
    annotations = write(*crowds, images=[IMAGE])
    with pytest.raises(UserError, match=r"all 2 annotations .* iscrowd.*set proposals\.options\.crowd"):
        planned(tmp_path, annotations, table("1.jpg"))
    planned(tmp_path, annotations, table("1.jpg"), crowd=True)


def test_normalised_polygons(write, table, tmp_path):
    annotations = write(*[{"segmentation": [[0.1, 0.2, 0.5, 0.2, 0.5, 1.0]]}] * 3, images=[IMAGE])
    with pytest.raises(UserError, match=r"no mask that can be used: 3 of annotations are smaller than a pixel.*norm"):
        planned(tmp_path, annotations, table("1.jpg"))


def test_boxes_without_masks(write, table, tmp_path):
    annotations = write({"bbox": [1, 1, 2, 2]}, {"bbox": [1, 1, 2, 2]}, images=[IMAGE])
    with pytest.raises(UserError, match=r"no mask that can be used: 2 of annotations have no mask"):
        planned(tmp_path, annotations, table("1.jpg"))

"""Two evaluations beside two mined datasets, by the command line."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import schemas
from jobs import inspect
from tests.differences.made import MadeImage, rectangle, write_dataset
from tests.report.made import made_evaluation

MASK = (rectangle(1, 1, 5, 5), 0.5)


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("evaluated")
    return tuple(str(made_evaluation(world, folder / name, share)) for name, share in (("a", 0.6), ("b", 0.2)))


def test_classes_stand_beside_their_pairs(evaluated, tmp_path, capsys):
    names = pq.read_table(Path(evaluated[0]) / "classes.parquet").to_pylist()
    ious = [
        {row["name"]: row["iou"] for row in pq.read_table(Path(uri) / "classes.parquet").to_pylist()}
        for uri in evaluated
    ]
    name = next(row["name"] for row in names if row["iou"] is not None and " " not in row["name"])
    a = write_dataset(tmp_path / "a", [MadeImage("1", {name: MASK, "other": MASK})])
    b = write_dataset(tmp_path / "b", [MadeImage(str(number), {name: MASK}) for number in range(3)])
    arguments = ["diff", str(a), str(b), "--output", str(tmp_path / "out"), "--evaluations", *evaluated]
    assert inspect.main(arguments) == 0
    table = pq.read_table(tmp_path / "out" / "classes.parquet")
    assert table.schema.equals(schemas.CLASS_CHANGES)
    rows = {row["name"]: row for row in table.to_pylist()}
    expected = {"name": name, "iou_a": ious[0][name], "iou_b": ious[1][name], "pairs_a": 1, "pairs_b": 3}
    assert rows[name] == expected | {"nouns": [name]}
    assert rows.keys() == {found for found, iou in ious[0].items() if iou is not None}
    gains = [row["iou_b"] - row["iou_a"] for row in table.to_pylist()]
    assert gains == sorted(gains)
    assert "of 1 classes of which both changed, IoU and pairs changed in one direction in 1" in capsys.readouterr().out
    assert f'<th scope="row">{name}</th>' in (tmp_path / "out" / "index.html").read_text()


def test_names_of_a_data_set_that_is_gone_are_told(evaluated, tmp_path, capsys):
    config = Path(evaluated[1]) / "config.yaml"
    text = config.read_text()
    description = yaml.safe_load(text)
    description["configuration"]["dataset"]["root"] = str(tmp_path / "gone")
    config.write_text(yaml.safe_dump(description))
    a = str(write_dataset(tmp_path / "a", [MadeImage("1", {"dog": MASK})]))
    try:
        assert inspect.main(["diff", a, a, "--evaluations", *evaluated]) == 0
    finally:
        config.write_text(text)
    assert "note: other names of the classes than their first are not known" in capsys.readouterr().out

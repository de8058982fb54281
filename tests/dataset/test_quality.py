"""Quality tables: written and read with their manifest, and refused with any other."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import inspect
from pipeline.configuration.overwriting import clear
from pipeline.dataset import layout as dataset_layout
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_manifest, read_whole_manifest
from pipeline.dataset.quality import read_quality, write_quality
from pipeline.errors import UserError
from pipeline.inspection.verify import repair, verify
from tests.report.made_dataset import make_dataset

ABOUT = {"labels_sha256": "0" * 64, "columns": ["clip_score"], "[/] [red]": "\u00fc"}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "mined", ["dog", "cat", "hat", "tree", "sky"], shards=2, images_per_shard=3)
    return folder / "mined"


@pytest.fixture
def layout(made, tmp_path) -> Layout:
    return Layout(str(shutil.copytree(made, tmp_path / "mined")))


def written(layout: Layout, shard: int = 0) -> tuple[Manifest, np.ndarray, Path]:
    manifest = read_whole_manifest(layout, shard, ["key"])
    p_right_P = np.linspace(0, 1, len(manifest.table), dtype=np.float32)
    return manifest, p_right_P, Path(write_quality(layout, manifest, p_right_P, ABOUT))


def change(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def test_what_is_written_is_read(layout):
    manifest, p_right_P, path = written(layout)
    assert path == Path(layout.table("quality", 0))
    found = read_quality(layout, manifest)
    np.testing.assert_array_equal(found.p_right, p_right_P)
    assert found.p_right.dtype == np.float32
    assert found.about == ABOUT
    before = path.read_bytes()
    assert written(layout)[2].read_bytes() == before
    write_quality(layout, manifest, p_right_P / 2, ABOUT)
    assert read_quality(layout, manifest).sha256 != found.sha256


def test_a_shard_without_pairs(layout):
    manifest = read_whole_manifest(layout, 0, ["key"])
    empty = replace(manifest, table=manifest.table.slice(0, 0))
    write_quality(layout, empty, np.zeros(0), ABOUT)
    assert read_quality(layout, empty).p_right.shape == (0,)


@pytest.mark.parametrize("bad", [np.zeros(3), np.full(8, np.nan), np.full(8, 1.5), np.full(8, -0.1), np.zeros((8, 1))])
def test_what_is_no_probability_per_pair_is_not_written(bad, layout):
    manifest = read_whole_manifest(layout, 0, ["key"])
    with pytest.raises(ValueError, match="a probability for each of its 8 pairs"):
        write_quality(layout, manifest, bad, ABOUT)
    with pytest.raises(ValueError, match="a probability for each"):
        write_quality(layout, read_manifest(layout, 0, ["key"]), np.zeros(8), ABOUT)
    assert not Path(layout.table("quality", 0)).exists()


def test_none_and_of_another_manifest(layout, capsys):
    manifest = read_whole_manifest(layout, 0, ["key"])
    with pytest.raises(UserError, match=r"quality/000000\.parquet is not there.*jobs\.inspect quality .* --labels"):
        read_quality(layout, manifest)
    written(layout)
    assert inspect.main([layout.uri, "--verify"]) == 0
    table = pq.read_table(manifest.uri)
    scores = pa.array(np.linspace(0, 0.1, len(table), dtype=np.float32))
    change(Path(manifest.uri), table.set_column(table.schema.get_field_index("clip_score"), "clip_score", scores))
    with pytest.raises(UserError, match="was mined again since"):
        read_quality(layout, read_whole_manifest(layout, 0, ["key"]))
    assert inspect.main([layout.uri, "--verify"]) == 1
    assert "quality/000000.parquet: made for another manifest" in " ".join(capsys.readouterr().out.split())


def with_column(path: Path, name: str, values: pa.Array) -> None:
    table = pq.read_table(path)
    table = table.set_column(table.schema.get_field_index(name), name, values)
    change(path, table)


DAMAGES = {
    "no Parquet": lambda path: path.write_bytes(b"PAR1 PAR1"),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "no metadata": lambda path: change(path, pq.read_table(path).replace_schema_metadata({})),
    "about that is none": lambda path: change(
        path,
        pq.read_table(path).replace_schema_metadata({**pq.read_table(path).schema.metadata, b"about": b"9" * 5000}),
    ),
    "no p_right": lambda path: change(path, pq.read_table(path).drop_columns(["p_right"])),
    "texts": lambda path: with_column(path, "p_right", pa.array(["0.5"] * 8)),
    "null": lambda path: with_column(path, "p_right", pa.array([None] + [0.5] * 7, pa.float32())),
    "nan": lambda path: with_column(path, "p_right", pa.array([np.nan] * 8, pa.float32())),
    "above 1": lambda path: with_column(path, "p_right", pa.array([1.5] * 8, pa.float32())),
    "fewer": lambda path: change(path, pq.read_table(path).slice(1)),
    "other order": lambda path: with_column(path, "key", pq.read_table(path)["key"].take(list(range(7, -1, -1)))),
    "keys that are none": lambda path: with_column(path, "key", pa.array(["../../x"] * 8)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_and_the_table_alone_is_deleted(damage, layout):
    manifest, _, path = written(layout)
    DAMAGES[damage](path)
    with pytest.raises(UserError, match=r"000000\.parquet is damaged"):
        read_quality(layout, manifest)
    damages = verify(layout.uri)
    assert [found.file for found in damages] == ["quality/000000.parquet"]
    assert repair(layout.uri, damages) == []
    assert not path.exists()
    assert Path(layout.dataset).exists()
    assert layout.committed() == {0, 1}
    assert verify(layout.uri) == []


def test_tables_of_shards_that_are_due_again(layout):
    _, _, path = written(layout, shard=1)
    Path(layout.tar(1)).unlink()
    assert repair(layout.uri, verify(layout.uri)) == [1]
    assert path.exists()
    said: list[str] = []
    assert verify(layout.uri, remark=said.append) == []
    assert said == ["quality/000001.parquet: its shard is not committed, so nothing reads it"]


def test_repair_says_what_to_do(layout, capsys):
    _, _, path = written(layout)
    path.write_bytes(b"")
    assert inspect.main([layout.uri, "--repair"]) == 0
    said = capsys.readouterr().out
    assert "python -m jobs.inspect quality writes them again" in said
    assert "due again: shards none" in said


def test_overwriting_a_dataset_deletes_its_quality(layout):
    written(layout)
    (Path(layout.uri) / "quality" / "notes.txt").write_text("mine")
    clear(layout.uri, "mine", dataset_layout.OWN_FILES)
    assert [path.name for path in (Path(layout.uri) / "quality").iterdir()] == ["notes.txt"]


def test_about_is_plain_json(layout):
    path = written(layout)[2]
    assert json.loads(pq.read_schema(path).metadata[b"about"]) == ABOUT

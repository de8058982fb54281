"""`jobs.inspect precision` and `quality` on a made dataset, labelled by a rule."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import inspect
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.quality import read_quality
from pipeline.inspection.verify import verify
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.curves import SHARES
from pipeline.quality.precision import measure_precision
from pipeline.quality.scoring import write_quality_tables
from tests.quality.labelled import made_truth, write_labels
from tests.report.made_dataset import make_dataset

NOUNS = ["dog", "cat", "hat", "tree", "sky", "sea", "[/] [red] \x1b[2J", "owl"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "mined", NOUNS, shards=3, images_per_shard=35)
    return folder / "mined"


@pytest.fixture(scope="module")
def pairs(made) -> PairColumns:
    return read_columns(open_mined_dataset(str(made)))


@pytest.fixture(scope="module")
def labels(made, pairs) -> str:
    truth = made_truth(pairs)
    to = made.parent / "labels.json"
    write_labels(made, to, 150, lambda row: "unclear" if row % 19 == 0 else "right" if truth[row] else "wrong")
    return str(to)


@pytest.fixture
def dataset(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "mined"))


def tables(dataset: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (dataset / "quality").iterdir()}


def test_precision_is_near_the_truth(made, pairs, labels):
    truth = made_truth(pairs)
    report = measure_precision(str(made), labels=labels, wanted=0.8)
    clear = np.arange(len(pairs)) % 19 > 0
    assert report.predictions
    assert report.overall.low < truth[clear].mean() < report.overall.high
    assert report.overall.half_width <= report.labels_alone.half_width * 1.02
    assert [part.precision.pairs for part in report.scores] == [102] * 4
    assert sum(part.precision.pairs for part in report.groups) == len(pairs)
    [curve] = report.curves
    assert len(curve.points) == len(SHARES)
    for point in curve.points:
        kept = pairs.score >= point.threshold
        assert kept.sum() == point.precision.pairs
        assert point.precision.low - 0.06 < truth[kept & clear].mean() < point.precision.high + 0.06
    likely, sure = (curve.wanted(0.8, sure=sure) for sure in (False, True))
    assert likely is not None
    assert likely.precision.value >= 0.8
    assert sure is None or (sure.precision.low >= 0.8 and sure.share <= likely.share)
    assert curve.wanted(0.9999, sure=True) is None


def test_quality_is_written_and_used(dataset, pairs, labels, capsys):
    assert inspect.main(["quality", str(dataset), "--labels", labels, "--things", "dog,cat"]) == 0
    said = capsys.readouterr().out
    assert "3 tables written, 0 the same as before" in said
    assert "things" in said
    assert 'data.where: "p_right >= 0.' in said
    assert verify(str(dataset)) == []
    layout = Layout(str(dataset))
    found = [read_quality(layout, read_whole_manifest(layout, shard, ["key"])) for shard in range(3)]
    p_right = np.concatenate([quality.p_right for quality in found])
    truth = made_truth(pairs)
    assert truth[p_right >= np.median(p_right)].mean() > truth.mean() + 0.2
    about = found[0].about
    assert {"labels_sha256", "dataset_fingerprint", "manifests_sha256", "opinions", "fit"} <= set(about)
    assert about["fit"]["library"].startswith("scikit-learn ")

    assert inspect.main(["precision", str(dataset), "--labels", labels, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["curves"]) == {"clip_score", "p_right"}
    # Labels are judged by models that have not seen them, so the curve does not promise too much.
    for point in figures["curves"]["p_right"]:
        kept = p_right >= point["threshold"]
        assert truth[kept].mean() > point["low"] - 0.06
    assert inspect.main(["precision", str(dataset), "--labels", labels]) == 0
    assert "Precision by p_right" in capsys.readouterr().out


def test_equal_input_gives_equal_bytes_and_only_what_is_missing_is_written(dataset, labels):
    assert write_quality_tables(str(dataset), labels=labels).written == 3
    before = tables(dataset)
    assert write_quality_tables(str(dataset), labels=labels).written == 0
    (dataset / "quality" / "000001.parquet").unlink()
    (dataset / "quality" / "000002.parquet").write_bytes(b"PAR1 half")
    assert write_quality_tables(str(dataset), labels=labels).written == 2
    assert tables(dataset) == before


def test_other_labels_replace_the_tables(dataset, labels, tmp_path):
    write_quality_tables(str(dataset), labels=labels)
    before = tables(dataset)
    truth = ~made_truth(read_columns(open_mined_dataset(str(dataset))))
    write_labels(dataset, tmp_path / "other.json", 100, lambda row: "right" if truth[row] else "wrong")
    (dataset / "quality" / "000001.parquet").unlink()
    remarks = measure_precision(str(dataset), labels=labels).remarks
    assert any("1 of 3 shards have no quality table" in remark for remark in remarks)
    assert write_quality_tables(str(dataset), labels=str(tmp_path / "other.json")).written == 3
    assert all(tables(dataset)[name] != content for name, content in before.items())
    # Made from others than these, which are then no part of what it has seen.
    assert {curve.key for curve in measure_precision(str(dataset), labels=labels).curves} == {"clip_score", "p_right"}


def test_tables_of_several_labels_are_not_mixed(dataset, labels, tmp_path):
    write_quality_tables(str(dataset), labels=labels)
    kept = tables(dataset)["000000.parquet"]
    truth = made_truth(read_columns(open_mined_dataset(str(dataset))))
    write_labels(dataset, tmp_path / "other.json", 60, lambda row: "right" if truth[row] else "wrong")
    write_quality_tables(str(dataset), labels=str(tmp_path / "other.json"))
    (dataset / "quality" / "000000.parquet").write_bytes(kept)
    report = measure_precision(str(dataset), labels=labels)
    assert [curve.key for curve in report.curves] == ["clip_score"]
    assert any("other labels each" in remark for remark in report.remarks)


def test_a_second_opinion_is_used(dataset, pairs, labels, tmp_path):
    truth = made_truth(pairs)
    opinion = truth + 0.1 * np.random.default_rng(0).normal(size=len(pairs))
    pq.write_table(pa.table({"key": pairs.keys, "verify": opinion}), tmp_path / "opinion.parquet")
    uri = str(tmp_path / "opinion.parquet")
    alone = measure_precision(str(dataset), labels=labels)
    both = measure_precision(str(dataset), labels=labels, opinions=[uri])
    assert both.overall.half_width < 0.7 * alone.overall.half_width
    report = write_quality_tables(str(dataset), labels=labels, opinions=[uri])
    chosen = {(found.key, found.share): found.precision.value for found in report.chosen}
    assert chosen["p_right", 0.4] > 0.95
    assert ("opinion.verify", 0.4) in chosen
    # Without the opinion the tables cannot be judged by models that have not seen the labels.
    without = measure_precision(str(dataset), labels=labels)
    assert [curve.key for curve in without.curves] == ["clip_score"]
    assert any("give the same --opinion" in remark for remark in without.remarks)


def test_few_labels_give_intervals_but_no_model(dataset, pairs, tmp_path, capsys):
    truth = made_truth(pairs)
    uri = str(tmp_path / "few.json")
    write_labels(dataset, Path(uri), 100, lambda row: "right" if truth[row] else "wrong", labelled=12)
    assert inspect.main(["quality", str(dataset), "--labels", uri]) == 2
    assert "12 clear labels" in (error := capsys.readouterr().err)
    assert "label 8 more in all" in " ".join(error.split())
    assert not (dataset / "quality").exists()
    report = measure_precision(str(dataset), labels=uri)
    assert not report.predictions
    assert report.overall.low < truth.mean() < report.overall.high
    assert any("intervals are of labels alone" in remark for remark in report.remarks)
    write_labels(dataset, Path(uri), 40, lambda row: "right")
    assert inspect.main(["quality", str(dataset), "--labels", uri]) == 2
    assert "3 more that are wrong" in capsys.readouterr().err
    write_labels(dataset, Path(uri), 40, lambda row: "unclear")
    assert inspect.main(["precision", str(dataset), "--labels", uri]) == 0
    assert "unknown" in capsys.readouterr().out


def annotate(dataset: Path, to: Path, truth: np.ndarray) -> None:
    """COCO annotations in which a pair is right if its mask is an object of its noun; else that object is "other"."""
    images, annotations, names = {}, [], [*NOUNS, "other"]
    for row, right in zip(pq.read_table(dataset / "manifests").to_pylist(), truth, strict=True):
        images[row["image_id"]] = {"width": row["image_width"], "height": row["image_height"]}
        size = [row["image_height"], row["image_width"]]
        category = names.index(row["noun"] if right else "other") + 1
        annotations.append(
            {"id": len(annotations) + 1, "image_id": row["image_id"], "category_id": category, "iscrowd": 0}
            | {"area": row["mask_area"], "segmentation": {"size": size, "counts": row["mask_rle"]}}
        )
    document = {
        "images": [{"id": name, "file_name": f"{name}.jpg", **size} for name, size in images.items()],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }
    to.write_text(json.dumps(document))


def test_annotations_in_place_of_labels(dataset, pairs, tmp_path, capsys):
    annotate(dataset, tmp_path / "instances.json", made_truth(pairs))
    uri = str(tmp_path / "instances.json")
    assert inspect.main(["precision", str(dataset), "--annotations", uri]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"of {len(pairs)} pairs could be judged" in said
    report = measure_precision(str(dataset), annotations=uri)
    assert not report.predictions
    assert 0 < report.overall.labels < len(pairs)
    assert write_quality_tables(str(dataset), annotations=uri).written == 3


def test_texts_of_others_steer_no_terminal(made, pairs, tmp_path, capsys):
    truth = made_truth(pairs)
    write_labels(made, tmp_path / "labels.json", 400, lambda row: "right" if truth[row] else "wrong")
    assert inspect.main(["precision", str(made), "--labels", str(tmp_path / "labels.json")]) == 0
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert "[/] [red]" in said


@pytest.mark.parametrize("command", ["precision", "quality"])
def test_what_cannot_be_used(command, made, labels, tmp_path, capsys):
    (tmp_path / "empty.json").write_text("{}")
    for arguments, said in {
        (): "--labels: give labels of some pairs",
        ("--labels", labels, "--annotations", labels): "exclude each other",
        ("--labels", str(tmp_path / "none.json")): "no such file of labels",
        ("--labels", str(tmp_path / "empty.json")): "empty.json",
        ("--labels", labels, "--opinion", str(tmp_path / "none.parquet")): "--opinion",
        ("--annotations", labels): "labels.json",
    }.items():
        assert inspect.main([command, str(made), *arguments]) == 2, said
        assert said in " ".join(capsys.readouterr().err.split())
    assert inspect.main([command, str(tmp_path), "--labels", labels]) == 2
    capsys.readouterr()
    extra = {"precision": ("--wanted", "90"), "quality": ("--things", "nothing,of,this")}[command]
    assert inspect.main([command, str(made), "--labels", labels, *extra]) == 2
    assert extra[0] in capsys.readouterr().err
    assert not (made / "quality").exists()

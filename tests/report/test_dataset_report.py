"""The figures of a dataset's report against DuckDB on the same tables."""

import base64
import io
import json
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image

from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig, sample_members
from pipeline.errors import UserError
from pipeline.proposals.ground_truth import all_annotated
from pipeline.quality import measure_pairs
from pipeline.regions import masked_regions
from pipeline.report.charts import histogram
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from pipeline.report.dataset.thumbnails import Region, draw
from tests.report.made_dataset import make_dataset
from tests.report.page_data import page_json
from tests.shard_samples import make_sample, rectangle


@pytest.fixture(scope="module")
def page(mined: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with all pairs of `mined`."""
    folder = tmp_path_factory.mktemp("report")
    return write_dataset_report(str(mined), str(folder), DatasetReportOptions(annotations=str(world / "panoptic.json")))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 400 pairs with 60 nouns."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, [f"noun{number}" for number in range(60)], shards=4, images_per_shard=26)
    return folder


def query(dataset: Path, sql: str) -> list[tuple]:
    """Rows of a query over MANIFESTS and CANDIDATES."""
    for table in ("manifests", "candidates"):
        sql = sql.replace(table.upper(), f"'{dataset / table}/*.parquet'")
    return duckdb.sql(sql).fetchall()


def test_nouns_and_rows_are_those_of_the_manifests(mined: Path, page: str):
    nouns = {noun: numbers for noun, *numbers in page_json(page, "noun-data")}
    expected = query(mined, "select noun, count(*), avg(clip_score), avg(noun_margin) from MANIFESTS group by noun")
    assert nouns == {noun: pytest.approx(numbers, abs=1e-4) for noun, *numbers in expected}

    rows = {row["key"]: row for row in page_json(page, "rows")}
    for row in pq.read_table(mined / "manifests").to_pylist():
        shown = rows.pop(row["key"])
        for mine, theirs in (("score", "clip_score"), ("noun_margin", "noun_margin"), ("mask_margin", "mask_margin")):
            assert shown[mine] == (None if row[theirs] is None else pytest.approx(row[theirs], abs=1e-4))
        assert "".join(shown["caption"]) == row["caption"]
        assert shown["caption"][1] == row["surface"]
        assert shown["area"] == row["mask_area"]
        assert shown["area_share"] == pytest.approx(
            row["mask_area"] / row["image_width"] / row["image_height"], abs=1e-4
        )
    assert not rows


def test_thresholds_leave_what_the_candidates_have(mined: Path, page: str):
    curves = {curve["column"]: curve for curve in page_json(page, "curves")}
    assert set(curves) == {"clip_score", "noun_margin", "mask_margin", "mask_area"}
    # The margin to the next mask is not in the table, but that mask is.
    best = """(select best.noun, best.image_id, best.clip_score, best.noun_margin, best.mask_area,
        best.clip_score - next.clip_score as mask_margin
        from (from CANDIDATES where rank = 0) best left join
        (from CANDIDATES where rank = 1) next using (image_id, noun))
    """
    for column, curve in curves.items():
        for index in (0, 1, 40, 100, 160, len(curve["thresholds"]) - 1):
            threshold = curve["thresholds"][index]
            condition = f"({column} is null or {column}::double >= {threshold})"
            [counts] = query(
                mined, f"select count(*), count(distinct noun), count(distinct image_id) from {best} where {condition}"
            )
            assert (curve["pairs"][index], curve["nouns"][index], curve["images"][index]) == counts, (column, threshold)


def test_masks_of_several_nouns(mined: Path, page: str):
    rows = page_json(page, "rows")
    claims = query(mined, "select count(*) from MANIFESTS group by image_id, proposal_index having count(*) > 1")
    assert sum(len(row["others"]) > 0 for row in rows) == sum(count for [count] in claims) > 0
    expected = query(
        mined,
        """select a.key, list(b.noun order by b.clip_score desc) from MANIFESTS a join MANIFESTS b
        on a.image_id = b.image_id and a.proposal_index = b.proposal_index and a.noun <> b.noun group by a.key""",
    )
    assert {row["key"]: [noun for noun, _ in row["others"]] for row in rows if row["others"]} == dict(expected)


def test_precision_is_that_of_all_pairs_with_the_score(mined: Path, world: Path, page: str):
    truth = all_annotated(str(world / "panoptic.json"))
    rows = pq.read_table(mined / "manifests").to_pylist()
    [curve] = [curve for curve in page_json(page, "curves") if "judged" in curve]
    for index in (0, 60, 120):
        threshold = curve["thresholds"][index]
        expected = measure_pairs([row for row in rows if row["clip_score"] >= threshold], truth)
        assert curve["judged"][index] == expected.judged > 0
        assert curve["correct"][index] == pytest.approx(expected.precision, abs=1e-4)
    groups = Counter(group for row in page_json(page, "rows") for group in row["groups"])
    assert groups["right"] + groups["wrong"] == curve["judged"][0]
    assert groups["right"] / curve["judged"][0] == pytest.approx(curve["correct"][0], abs=1e-3)


def test_pictures_show_the_region_as_clip_gets_it():
    mask = rectangle(120, 160, 40, 60, 80, 100)
    mask[40:60, 60:80] = False
    sample = make_sample(mask)
    members = sample_members(sample, ShardsConfig())
    drawn = draw(Region(json.loads(members["json"]), members["jpg"], members["mask.png"]), 160, "mean", 1.0)
    outlined, blanked = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))) for picture in (drawn.outlined, drawn.blanked)
    )
    image = torch.from_numpy(sample.image).permute(2, 0, 1)
    [expected], *_ = masked_regions(image, torch.from_numpy(mask)[None], size=160)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    expected = ((expected * std + mean) * 255).permute(1, 2, 0).numpy()
    assert np.abs(blanked - expected).mean() < 6  # of 255; WebP and the jagged edge of the mask
    corner = np.s_[8:60, 8:60]
    assert np.abs(blanked[corner] - np.array(OPENAI_DATASET_MEAN) * 255).max() < 8
    assert np.abs(outlined[corner].astype(float) - blanked[corner]).mean() > 20  # there the background is kept
    yellow = np.abs(outlined.astype(float) - (240, 228, 66)).max(axis=-1) < 60
    assert yellow[80:, :3].mean() > 0.3
    assert not yellow[100:150, 100:150].any()


def test_histograms_count_every_value_once():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    chart = histogram("a", "normal", np.append(values, np.nan))
    assert sum(count for _, count in chart.rows) == 1000
    whole = np.random.default_rng(0).poisson(3, 500).astype(float)
    assert {int(value): count for value, count in histogram("b", "counts", whole, whole=True).rows if count} == Counter(
        whole.astype(int).tolist()
    )
    assert "1,000 values" in chart.svg
    assert histogram("c", "nothing", np.array([np.nan])) is None


def test_seeds_choose_and_the_page_keeps_to_its_size(made: Path, tmp_path: Path):
    def report(name: str, **options: int) -> Path:
        return Path(write_dataset_report(str(made), str(tmp_path / name), DatasetReportOptions(**options)))

    def keys(page: Path) -> list[str]:
        return [row["key"] for row in page_json(page, "rows")]

    first, again, other = (report(f"{index}", samples=40, seed=seed) for index, seed in enumerate((3, 3, 4)))
    assert first.read_bytes() == again.read_bytes()
    assert set(keys(first)) != set(keys(other))
    rows = page_json(first, "rows")
    assert 30 <= len(rows) <= 40
    scores = sorted(query(made, "select clip_score from MANIFESTS"))
    for group, expected in (("best", scores[-6:]), ("worst", scores[:6])):
        found = sorted(row["score"] for row in rows if group in row["groups"])
        assert found == pytest.approx([score for [score] in expected], abs=1e-4)
    rare = query(made, "select noun from MANIFESTS group by noun order by count(*), noun limit 1")
    assert rare[0][0] in {row["noun"] for row in rows}

    full = report("full", samples=1000)
    assert len(keys(full)) == len(set(keys(full))) == 400
    limit = len(full.read_bytes()) * 6 // 10
    small = report("small", samples=1000, max_bytes=limit)
    assert 0.7 * limit < len(small.read_bytes()) <= limit


def test_a_dataset_that_is_still_being_mined(made: Path, tmp_path: Path):
    folder = tmp_path / "mined"
    shutil.copytree(made, folder)
    (folder / "dataset.json").unlink()
    (folder / "manifests" / "000002.parquet").unlink()
    page = write_dataset_report(str(folder))
    assert page == str(folder / "report" / "index.html")
    text = Path(page).read_text()
    assert "not complete: 3 of 4 shards are committed" in text
    assert len(page_json(page, "rows")) == 300
    for manifest in (folder / "manifests").iterdir():
        manifest.unlink()
    with pytest.raises(UserError, match="no shard is committed yet"):
        write_dataset_report(str(folder))
    with pytest.raises(UserError, match=r"no config\.yaml"):
        write_dataset_report(str(tmp_path))


def test_a_dataset_without_pairs_says_why(tmp_path: Path):
    make_dataset(tmp_path, ["dog"], shards=2, images_per_shard=3, rejects_per_shard=3)
    page = Path(write_dataset_report(str(tmp_path)))
    assert "No pair came of the images" in page.read_text()
    assert "images: missing_file" in page.read_text()
    assert page_json(page, "rows") == []


def test_a_damaged_tar_is_named(made: Path, tmp_path: Path):
    folder = tmp_path / "mined"
    shutil.copytree(made, folder)
    tar = Path(Layout(str(folder)).tar(1))
    tar.write_bytes(b"\xff" * tar.stat().st_size)
    with pytest.raises(UserError, match=r"000001\.tar is damaged: the sample at byte \d+: .*--verify"):
        write_dataset_report(str(folder))

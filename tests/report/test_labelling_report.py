"""What a report draws to be labelled, without a browser."""

import hashlib
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import UserError
from pipeline.quality.labels import digest_manifests
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from pipeline.report.directory import write_report
from tests.report.made_dataset import make_dataset
from tests.report.page_data import page_json, page_scripts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 pairs of 60 nouns."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, [f"noun{number}" for number in range(60)], shards=4, images_per_shard=26)
    return folder


def report(made: Path, to: Path, **options: int) -> Path:
    return Path(write_dataset_report(str(made), str(to), DatasetReportOptions(**options)))


def test_the_sample_is_of_the_dataset(made: Path, tmp_path: Path):
    page = report(made, tmp_path, label=50, samples=20)
    data = page_json(page, "label-data")
    assert len({pair["key"] for pair in data["pairs"]}) == 50
    nouns = dict(duckdb.sql(f"select key, noun from '{made}/manifests/*.parquet'").fetchall())
    assert all(nouns[pair["key"]] == pair["noun"] == pair["caption"][1] for pair in data["pairs"])
    strata = data["sample"]["strata"]
    assert sum(stratum["pairs"] for stratum in strata) == 400
    drawn = [pair["stratum"] for pair in data["pairs"]]
    assert [stratum["drawn"] for stratum in strata] == [drawn.count(number) for number in range(len(strata))]
    manifests = sorted((made / "manifests").iterdir())
    digest = digest_manifests(hashlib.sha256(file.read_bytes()).hexdigest() for file in manifests)
    assert data["dataset"] == {"uri": str(made), "fingerprint": "0" * 64, "manifests_sha256": digest}
    pictures = page_scripts(page)
    for pair in data["pairs"]:
        block, start, middle, end = pair["picture"]
        assert 0 <= start < middle < end <= len(pictures[f"label-pictures-{block}"])


def test_seeds_choose_and_equal_ones_write_the_same_page(made: Path, tmp_path: Path):
    first, again, other = (
        report(made, tmp_path / f"{index}", label=30, samples=5, seed=seed) for index, seed in enumerate((3, 3, 4))
    )
    assert first.read_bytes() == again.read_bytes()
    samples = [page_json(page, "label-data") for page in (first, other)]
    assert samples[0]["id"] != samples[1]["id"]
    assert [sample["sample"]["seed"] for sample in samples] == [3, 4]


def test_a_page_without_labels_has_no_section(made: Path, tmp_path: Path):
    assert "label-data" not in page_scripts(report(made, tmp_path, samples=5))


def test_more_than_there_is_are_all(made: Path, tmp_path: Path):
    assert len(page_json(report(made, tmp_path, label=1000, samples=5), "label-data")["pairs"]) == 400


def test_the_page_keeps_to_its_size(made: Path, tmp_path: Path):
    empty = len(report(made, tmp_path / "empty", samples=1).read_bytes())
    limit = empty + 900_000
    page = report(made, tmp_path / "small", label=100, samples=1000, max_bytes=limit)
    assert len(page.read_bytes()) <= limit
    assert len(page_json(page, "label-data")["pairs"]) == 100
    assert len(page_json(page, "rows")) > 20
    with pytest.raises(
        UserError, match=r"--label 300: the pictures of 300 pairs take .* MB, and the page has room for"
    ):
        report(made, tmp_path / "full", label=300, max_bytes=limit)


def test_what_cannot_be_labelled(made: Path, tmp_path: Path):
    with pytest.raises(UserError, match="--label is 0; it must be at least 1"):
        report(made, tmp_path, label=0)
    empty = tmp_path / "empty"
    make_dataset(empty, ["dog"], shards=1, images_per_shard=3, rejects_per_shard=3)
    page = Path(write_report([str(empty)], str(tmp_path), label=20))
    assert "There is no pair to label." in page.read_text()
    assert page_json(page, "label-data")["pairs"] == []


def test_a_dataset_that_is_still_being_mined(tmp_path: Path):
    make_dataset(tmp_path, ["dog", "cat", "sofa", "tree"], shards=2, images_per_shard=3)
    (tmp_path / "dataset.json").unlink()
    (tmp_path / "manifests" / "000001.parquet").unlink()
    page = report(tmp_path, tmp_path / "page.html", label=4)
    assert "when more shards are committed, these labels are refused" in page.read_text()

"""The queries of schemas/README.md do what it says they do."""

import os
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from tests.conftest import REPOSITORY
from tests.report.made_options import make_dataset_with_options

PARTS = (0.05, 0.5, 0.95)
SECTION = "\n## Queries\n"


def blocks(language: str) -> list[str]:
    """The code blocks of the section, as they are."""
    section = f"\n{(REPOSITORY / 'schemas' / 'README.md').read_text()}".partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def rows(folder: Path, table: str) -> list[dict]:
    """All rows of a table, each file read by itself."""
    return [
        row for file in sorted((folder / table).glob("*.parquet")) for row in pq.ParquetFile(file).read().to_pylist()
    ]


@pytest.fixture
def pairs(mined) -> list[dict]:
    return rows(mined, "manifests")


@pytest.fixture
def noun(pairs) -> str:
    """What stands for "dog" in this world."""
    return Counter(pair["noun"] for pair in pairs).most_common(1)[0][0]


@pytest.fixture
def in_place(mined, tmp_path, monkeypatch) -> None:
    """The dataset is `mined` in the working directory, as in that document."""
    (tmp_path / "mined").symlink_to(mined)
    monkeypatch.chdir(tmp_path)


def most_regions(pairs: list[dict]) -> dict[str, int]:
    regions = defaultdict(set)
    for pair in pairs:
        regions[pair["image_id"]].add(pair["proposal_index"])
    return {image: len(found) for image, found in sorted(regions.items(), key=lambda item: (-len(item[1]), item[0]))}


def with_several_nouns(pairs: list[dict]) -> dict[tuple, list[str]]:
    """By image and region the nouns, best first, where there are several."""
    nouns = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: -pair["clip_score"]):
        nouns[pair["image_id"], pair["proposal_index"]].append(pair["noun"])
    return {region: found for region, found in sorted(nouns.items()) if len(found) > 1}


def quantiles(pairs: list[dict]) -> dict[tuple, float]:
    """By noun and quantile."""
    scores = defaultdict(list)
    for pair in pairs:
        scores[pair["noun"]].append(pair["clip_score"])
    return {(noun, part): np.quantile(found, part) for noun, found in scores.items() for part in PARTS}


def check_top_nouns(found, mined, pairs, noun):
    expected = sorted(Counter(pair["noun"] for pair in pairs).items(), key=lambda item: (-item[1], item[0]))[:20]
    assert [(name, count) for name, count, _ in found] == expected
    scores = [pair["clip_score"] for pair in pairs if pair["noun"] == found[0][0]]
    assert found[0][2] == pytest.approx(np.mean(scores))


def check_low_margin(found, mined, pairs, noun):
    margins = sorted(pair["noun_margin"] for pair in pairs if pair["noun_margin"] is not None)
    assert [row[3] for row in found] == [margin for margin in margins if margin < 0.01][:20] != []


def check_one_noun(found, mined, pairs, noun):
    expected = sorted((pair for pair in pairs if pair["noun"] == noun), key=lambda pair: -pair["clip_score"])
    assert found == [tuple(pair[name] for name in ("key", "image_uri", "clip_score", "mask_area")) for pair in expected]


def check_captions(found, mined, pairs, noun):
    captions = {row["image_id"]: row["captions"] for row in rows(mined, "captions")}
    assert found == [(pair["key"], pair["noun"], pair["caption"], captions[pair["image_id"]]) for pair in pairs]


def check_most_regions(found, mined, pairs, noun):
    assert [(image, regions) for image, _, regions in found] == list(most_regions(pairs).items())[:20]


def check_several_nouns(found, mined, pairs, noun):
    assert {(image, region): nouns for image, region, nouns in found} == with_several_nouns(pairs) != {}


def check_quantiles(found, mined, pairs, noun):
    by_noun = {(noun, part): value for noun, values in found for part, value in zip(PARTS, values, strict=True)}
    assert by_noun == pytest.approx(quantiles(pairs))


def check_thresholds(found, mined, pairs, noun):
    best = [row for row in rows(mined, "candidates") if row["rank"] == 0]
    for threshold, count, nouns in found:
        remaining = [row["noun"] for row in best if row["clip_score"] >= threshold]
        assert (count, nouns) == (len(remaining), len(set(remaining)))
    assert found[0][1] == len([pair for pair in pairs if pair["clip_score"] >= 0]) > found[-1][1]


def check_rejects(found, mined, pairs, noun):
    images = [row for row in rows(mined, "rejects") if row["caption_index"] is None]
    assert {(stage, reason): count for stage, reason, count in found} == Counter(
        (row["stage"], row["reason"]) for row in images
    )
    listed = sum(len(pq.read_table(file)) for file in (mined / "captions").glob("*.parquet"))
    assert sum(count for *_, count in found) == listed - len({pair["image_id"] for pair in pairs})


def check_near_pictures(found, mined, pairs, noun):
    hashes = {row["image_id"]: row["perceptual_hash"] for row in rows(mined, "hashes")}
    assert hashes.keys() >= {pair["image_id"] for pair in pairs}
    expected = [
        (bits, a, b)
        for a in hashes
        for b in hashes
        if a < b and hashes[a] and hashes[b] and (bits := (hashes[a] ^ hashes[b]).bit_count()) <= 6
    ]
    assert found == [(a, b, bits) for bits, a, b in sorted(expected)]


def check_attributes(found, mined, pairs, noun):
    scores = defaultdict(list)
    for pair in pairs:
        for attribute in pair["attributes"] or []:
            scores[pair["noun"], attribute].append(pair["clip_score"])
    expected = sorted(scores.items(), key=lambda item: (-len(item[1]), item[0]))[:20]
    assert found == [(*key, len(values), pytest.approx(np.mean(values))) for key, values in expected]


def check_negatives(found, mined, pairs, noun):
    expected = [(pair["key"], pair["phrase"], pair["negatives"]) for pair in pairs if pair["negatives"]]
    assert found == sorted(expected)
    assert 0 < len(found) < len(pairs)


def check_backends(found, mined, pairs, noun):
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair["backend"], pair["prompted_by"]].append(pair)
    assert {row[:2]: row[2] for row in found} == {group: len(of_group) for group, of_group in groups.items()}
    assert [row[2] for row in found] == sorted((len(of_group) for of_group in groups.values()), reverse=True)
    for backend, prompt, _, prompt_score, clip_score in found:
        of_group = groups[backend, prompt]
        assert clip_score == pytest.approx(np.mean([pair["clip_score"] for pair in of_group]))
        scores = [pair["prompt_score"] for pair in of_group]
        assert prompt_score == (pytest.approx(np.mean(scores)) if prompt else None)


def check_disagreement(found, mined, pairs, noun):
    names = ("so400m_score", "so400m_mask_rank", "so400m_noun_rank")
    said = {row["key"]: [row[name] for name in names] for row in rows(mined, "verified") if row["key"]}
    expected = [
        (pair["key"], pair["noun"], pair["clip_score"], *said[pair["key"]])
        for pair in pairs
        if any(said[pair["key"]][1:])  # null where it has no opinion
    ]
    assert found == sorted(expected)
    assert 0 < len(found) < len(pairs)


def check_not_found(found, mined, pairs, noun):
    counts = Counter(row["noun"] for row in rows(mined, "rejects") if row["noun"])
    assert found == sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert len(found) == 2


CHECKS: dict[str, Callable] = {
    "top nouns": check_top_nouns,
    "low-margin pairs": check_low_margin,
    "one noun's regions": check_one_noun,
    "pairs with all captions": check_captions,
    "images with most regions": check_most_regions,
    "regions with several nouns": check_several_nouns,
    "score quantiles per noun": check_quantiles,
    "how many pairs and nouns would remain": check_thresholds,
    "images with a picture like that": check_near_pictures,
    "rejected images by reason": check_rejects,
    "what is said of nouns": check_attributes,
}
WITH_OPTIONS: dict[str, Callable] = {
    "pairs with hard negatives": check_negatives,
    "pairs by the backend": check_backends,
    "pairs on which a verifier disagrees": check_disagreement,
    "nouns that nothing answered to": check_not_found,
}


def query_of(begin: str) -> str:
    """The query whose title begins so."""
    [block] = blocks("sql")
    queries = dict(query.removeprefix("-- ").split("\n", 1) for query in block.strip().split("\n\n"))
    assert len(queries) == len(CHECKS) + len(WITH_OPTIONS)
    [query] = [text for title, text in queries.items() if title.startswith(begin)]
    return query


@pytest.mark.usefixtures("in_place")
def test_sql(mined, pairs, noun):
    for begin, check in CHECKS.items():
        query = query_of(begin)
        check(duckdb.sql(query.replace("'dog'", f"'{noun}'")).fetchall(), mined, pairs, noun)


def test_sql_of_what_options_add(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_dataset_with_options(tmp_path / "mined")
    pairs = rows(tmp_path / "mined", "manifests")
    for begin, check in WITH_OPTIONS.items():
        check(duckdb.sql(query_of(begin)).fetchall(), tmp_path / "mined", pairs, None)


def test_sql_of_phrases(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = [
        ("bus", ["red"]),
        ("bus", ["red", "double"]),
        ("dog", []),
        ("dog", ["red"]),
        ("cat", None),
        ("bus", ["blue"]),
    ]
    pairs = [
        {"noun": noun, "attributes": attributes, "clip_score": score / 8}
        for score, (noun, attributes) in enumerate(said)
    ]
    (tmp_path / "mined" / "manifests").mkdir(parents=True)
    schema = pa.schema([schemas.MANIFEST.field(name) for name in pairs[0]])
    table = pa.Table.from_pylist(pairs, schema)
    pq.write_table(table, tmp_path / "mined" / "manifests" / "000000.parquet")
    found = duckdb.sql(query_of("what is said of nouns")).fetchall()
    assert found[0] == ("bus", "red", 2, 1 / 16)
    check_attributes(found, None, pairs, None)


@pytest.mark.usefixtures("in_place")
def test_pandas_and_the_pixels_of_a_region(mined, pairs, noun):
    found: dict = {}
    exec(blocks("python")[0].replace('"dog"', f'"{noun}"'), found)
    counts = Counter(pair["noun"] for pair in pairs)
    top = found["top_nouns"].to_dict()
    assert list(top.values()) == [count for _, count in counts.most_common(20)]
    assert top.items() <= counts.items()
    margins = sorted(pair["noun_margin"] for pair in pairs if pair["noun_margin"] is not None)
    assert found["low_margin"].noun_margin.tolist() == pytest.approx(margins[:20])
    assert sorted(found["dogs"].key) == sorted(pair["key"] for pair in pairs if pair["noun"] == noun)
    assert found["dogs"].clip_score.is_monotonic_decreasing
    captions = {row["image_id"]: row["captions"] for row in rows(mined, "captions")}
    merged = found["with_captions"]
    assert {key: list(texts) for key, texts in zip(merged.key, merged.captions, strict=True)} == {
        pair["key"]: captions[pair["image_id"]] for pair in pairs
    }
    regions = most_regions(pairs)
    assert found["most_regions"].tolist() == list(regions.values())[:20]
    assert found["most_regions"].to_dict().items() <= regions.items()
    assert len(found["several_nouns"]) == sum(len(nouns) for nouns in with_several_nouns(pairs).values())
    assert found["quantiles"].stack().to_dict() == pytest.approx(quantiles(pairs))

    # The same bytes as looking for the sample in the whole tar gives.
    first = pairs[0]
    with tarfile.open(mined / "shards" / "000000.tar") as tar:
        expected = tar.extractfile(f"{first['key']}.jpg").read()
    assert found["sample"].extractfile(f"{first['key']}.jpg").read() == expected
    box = (first["box_x1"] - first["box_x0"], first["box_y1"] - first["box_y0"])
    assert found["image"].size == found["mask"].size == box
    assert np.asarray(found["mask"]).sum() == first["mask_area"]


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_on_s3(s3, s3_uri, mined, pairs):
    bucket = s3_uri.removeprefix("s3://")
    for path in (mined / "manifests").iterdir():
        s3.client().upload_file(os.fspath(path), bucket, f"mined/manifests/{path.name}")
    found: dict = {}
    exec(blocks("python")[1].replace("s3://bucket", s3_uri), found)
    assert dict(found["top_nouns"]) == Counter(pair["noun"] for pair in pairs)
    assert found["pairs"].key.tolist() == [pair["key"] for pair in pairs]

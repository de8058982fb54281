"""Differences of two datasets, against what is known of them and against a comparison of each pair by itself."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.differences import Differences, DifferencesConfig, compare
from pipeline.differences.comparison import open_comparison
from pipeline.differences.tables import write_tables
from tests.differences.made import MadeImage, rectangle, write_dataset

NOUNS = ["dog", "cat", "tree", "sky", "[red]hat[/]", "'; drop table pairs_a; --"]
IN_B = {"moved": 0.2, "shifted": 0.2, "nudged": 0.2, "lost": 0.1}


def random_images(generator: np.random.Generator, count: int) -> list[MadeImage]:
    def mask() -> np.ndarray:
        x0, y0 = generator.integers(0, 10), generator.integers(0, 7)
        return rectangle(x0, y0, x0 + generator.integers(1, 7), y0 + generator.integers(1, 6))

    return [
        MadeImage(
            f"image {number}",
            {
                str(noun): (mask(), float(np.float32(generator.random())))
                for noun in generator.choice(NOUNS, generator.integers(0, len(NOUNS)), replace=False)
            },
        )
        for number in range(count)
    ]


def changed(images: list[MadeImage], generator: np.random.Generator) -> list[MadeImage]:
    """Some images less, one more, and of the pairs some others."""
    others = []
    for image in images:
        if generator.random() < 0.1:
            continue
        pairs = {}
        for noun, (mask, score) in image.pairs.items():
            what = generator.choice([*IN_B, "same"], p=[*IN_B.values(), 1 - sum(IN_B.values())])
            if what == "moved":
                mask = rectangle(1, 1, 3, 4)
            if what == "shifted":
                score += float(generator.normal() * 0.05)
            if what == "nudged":
                mask = np.roll(mask, 1, axis=1)
            if what != "lost":
                pairs[noun] = mask, float(np.float32(score))
        others.append(replace(image, pairs=pairs))
    others.append(MadeImage("image of b", {"dog": (rectangle(0, 0, 2, 2), 0.5)}))
    return [others[index] for index in generator.permutation(len(others))]


def expected_categories(a: list[MadeImage], b: list[MadeImage], config: DifferencesConfig) -> Counter[str]:
    pairs_a, pairs_b = (
        {(image.image_id, noun): found for image in images for noun, found in image.pairs.items()} for images in (a, b)
    )
    found: Counter[str] = Counter()
    for pair in pairs_a | pairs_b:
        if pair not in pairs_a or pair not in pairs_b:
            found["added" if pair in pairs_b else "lost"] += 1
            continue
        (mask, score), (other_mask, other_score) = pairs_a[pair], pairs_b[pair]
        iou = (mask & other_mask).sum() / (mask | other_mask).sum()
        if iou < config.min_iou:
            found["moved"] += 1
        else:
            found["shifted" if abs(score - other_score) > config.score_shift else "same"] += 1
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_datasets_differ_as_their_pairs_do(seed, tmp_path):
    generator = np.random.default_rng(seed)
    a = random_images(generator, 30)
    b = changed(a, generator)
    write_dataset(tmp_path / "a", a, per_shard=7)
    write_dataset(tmp_path / "b", b, per_shard=4)
    config = DifferencesConfig(min_iou=0.5, score_shift=0.03)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), config)
    expected = expected_categories(a, b, config)
    assert found.categories == expected
    assert found.agreement == (expected["same"] + expected["shifted"]) / found.shared
    nouns = [{noun for image in images for noun in image.pairs} for images in (a, b)]
    assert found.nouns_survived == len(nouns[0] & nouns[1]) / len(nouns[0])
    assert found.images_shared == len({image.image_id for image in a} & {image.image_id for image in b})
    assert sum(found.reasons.values()) == found.differing


def test_a_dataset_does_not_differ_from_itself_in_another_order(tmp_path):
    images = random_images(np.random.default_rng(7), 20)
    write_dataset(tmp_path / "a", images, per_shard=3)
    write_dataset(tmp_path / "b", images[::-1], per_shard=20)
    for b in ("a", "b"):
        found = compare(str(tmp_path / "a"), str(tmp_path / b))
        assert found.differing == 0
        assert found.agreement == found.nouns_survived == 1
        assert found.categories.total() == sum(len(image.pairs) for image in images)
        assert not found.remarks


def differences(tmp_path: Path, a: MadeImage, b: MadeImage, **of_b) -> Differences:
    """Of two datasets that have one more image with a pair, which is in both."""
    same = MadeImage("same", {"dog": (rectangle(0, 0, 4, 4), 0.5)})
    write_dataset(tmp_path / "a", [same, a])
    write_dataset(tmp_path / "b", [b, same], **of_b)
    return compare(str(tmp_path / "a"), str(tmp_path / "b"))


CAT = (rectangle(2, 2, 6, 6), 0.25)
ELSEWHERE = (rectangle(8, 2, 12, 6), 0.3)
REASONS = {
    "image_absent": ("lost", MadeImage("other")),
    "image_rejected": ("lost", MadeImage("one", rejected="images: missing_file", nouns=["cat"])),
    "caption_differs": ("lost", MadeImage("one", {"tree": CAT}, caption="a tree")),
    "noun_not_found": ("lost", MadeImage("one", {"tree": CAT})),
    "noun_not_kept": ("lost", MadeImage("one", {"tree": CAT}, nouns=["cat", "tree"])),
    "below_threshold": ("lost", MadeImage("one", candidates={"cat": [CAT]})),
    "image_differs": ("moved", MadeImage("one", {"cat": ELSEWHERE}, sha256="1" * 64)),
    "image_size_differs": ("moved", MadeImage("one", {"cat": (rectangle(16, 4, 24, 12, (24, 32)), 0.3)})),
    "other_mask_won": ("moved", MadeImage("one", {"cat": ELSEWHERE}, candidates={"cat": [ELSEWHERE, CAT]})),
    "mask_not_among_candidates": ("moved", MadeImage("one", {"cat": ELSEWHERE})),
    "unexplained": ("shifted", MadeImage("one", {"cat": (CAT[0], 0.35)})),
    "mask_differs": ("shifted", MadeImage("one", {"cat": (rectangle(2, 2, 6, 7), 0.35)})),
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_a_pair_differs(reason, tmp_path):
    category, b = REASONS[reason]
    vocabulary = {"dog": True, "tree": True, "cat": False} if reason == "noun_not_kept" else None
    found = differences(tmp_path, MadeImage("one", {"cat": CAT}), b, vocabulary=vocabulary)
    assert found.reasons[category, reason] == 1, found.reasons
    assert found.categories["same"] == 1


def test_why_a_pair_was_added(tmp_path):
    found = differences(tmp_path, MadeImage("one", rejected="images: missing_file"), MadeImage("one", {"cat": CAT}))
    assert found.reasons == {("added", "image_rejected"): 1}
    assert found.rejected == {("added", "images: missing_file"): 1}


def test_a_dataset_in_progress_is_told(tmp_path):
    a = MadeImage("one", {"cat": CAT})
    found = differences(tmp_path, a, MadeImage("other"), complete=False)
    assert found.reasons == {("lost", "image_not_yet"): 1}
    assert found.remarks == [f"{tmp_path / 'b'} is not complete: 1 of 1 shards are committed and compared"]


def test_an_image_of_another_size_is_scaled(tmp_path):
    found = differences(
        tmp_path, MadeImage("one", {"cat": CAT}), MadeImage("one", {"cat": (rectangle(4, 4, 12, 12, (24, 32)), 0.25)})
    )
    assert found.categories == {"same": 2}
    assert found.images_resized == 1


def test_scores_of_two_clips_are_compared_by_rank(tmp_path):
    a = [MadeImage(f"{n}", {"cat": (CAT[0], n / 100)}) for n in range(11)]
    b = [MadeImage(f"{n}", {"cat": (CAT[0], 0.5 + n / 20)}) for n in range(11)]
    b[10].pairs["cat"] = (CAT[0], 0.4)  # the best of A is the last of B
    write_dataset(tmp_path / "a", a)
    write_dataset(tmp_path / "b", b, clip="1" * 64)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), DifferencesConfig(rank_shift=0.15))
    assert not found.comparable
    assert found.categories == {"same": 10, "shifted": 1}
    assert found.reasons == {("shifted", "other_scores"): 1}
    assert ("models.clip.sha256", "0" * 64, "1" * 64) in found.settings


def test_two_phrases_of_a_noun_are_two_pairs(tmp_path):
    left, right = rectangle(0, 0, 5, 5), rectangle(8, 4, 14, 10)
    a = {"red bus": (left, 0.5), "blue bus": (right, 0.4), "dog": (left, 0.3), "old car": (left, 0.3)}
    b = {"blue bus": (left, 0.4), "red bus": (left, 0.5), "big dog": (left, 0.3)}
    candidates = {name: [(mask, 0.1)] for name, (mask, _) in b.items()} | {"blue bus": [(left, 0.4), (right, 0.2)]}
    write_dataset(tmp_path / "a", [MadeImage("1", a, phrases=True)])
    write_dataset(tmp_path / "b", [MadeImage("1", b, candidates | {"old car": [(left, 0.1)]}, phrases=True)])
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found.categories == Counter(same=1, moved=1, lost=2, added=1)
    assert found.reasons == Counter(
        {
            ("moved", "other_mask_won"): 1,
            ("lost", "below_threshold"): 1,
            ("lost", "noun_not_found"): 1,
            ("added", "noun_not_found"): 1,
        }
    )
    with open_comparison(str(tmp_path / "a"), str(tmp_path / "b")) as comparison:
        write_tables(comparison, str(tmp_path))
    rows = pq.read_table(tmp_path / "differences.parquet").to_pylist()
    assert [(row["noun"], row["phrase"], row["category"]) for row in rows] == [
        ("bus", "blue bus", "moved"),
        ("car", "old car", "lost"),
        ("dog", "big dog", "added"),
        ("dog", "dog", "lost"),
    ]


@pytest.mark.parametrize("phrases_first", [True, False])
def test_a_noun_is_compared_with_the_first_of_its_phrases(phrases_first, tmp_path):
    left, right = rectangle(0, 0, 5, 5), rectangle(8, 4, 14, 10)
    write_dataset(
        tmp_path / "phrases", [MadeImage("1", {"red bus": (left, 0.5), "blue bus": (right, 0.4)}, phrases=True)]
    )
    write_dataset(tmp_path / "nouns", [MadeImage("1", {"bus": (left, 0.5)})])
    names = ("phrases", "nouns") if phrases_first else ("nouns", "phrases")
    found = compare(*(str(tmp_path / name) for name in names))
    other = "lost" if phrases_first else "added"
    assert found.categories == Counter({"same": 1, other: 1})
    assert found.reasons == Counter({(other, "another_phrase"): 1})


def test_datasets_of_versions_without_phrases_are_compared(tmp_path):
    images = [
        MadeImage("1", {"bus": (rectangle(0, 0, 5, 5), 0.5)}),
        MadeImage("2", {"dog": (rectangle(1, 1, 9, 9), 0.5)}),
    ]
    for name, kept in (("a", images), ("b", images[:1])):
        write_dataset(tmp_path / name, kept)
    for table in ("manifests", "candidates", "captions"):
        path = tmp_path / "a" / table / "000000.parquet"
        old = pq.read_table(path)
        if table == "captions":
            fields = [field for field in schemas.CAPTIONS.field("nouns").type.value_type if "phrase" not in field.name]
            fields = [field for field in fields if field.name != "attributes"]
            nouns = pa.array(old["nouns"].to_pylist(), pa.list_(pa.struct(fields)))
            old = old.set_column(old.column_names.index("nouns"), "nouns", nouns)
        else:
            old = old.drop_columns("phrase")
        pq.write_table(old, path)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found.categories == Counter(same=1, lost=1)

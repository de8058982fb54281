"""The mined pairs nearest to a class, against features of each region by itself."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import schemas
from jobs import inspect
from pipeline.clip import Clip, TextEmbedder
from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import read_sample
from pipeline.differences import open_comparison
from pipeline.differences.nearest import Encoder, find_nearest
from pipeline.differences.questions import Question
from pipeline.images import open_image
from pipeline.regions import RegionsConfig, masked_regions
from tests.clip.conftest import tiny, tiny_folder
from tests.differences.made import MadeImage, rectangle, write_dataset

__all__ = ["tiny", "tiny_folder"]

NOUNS = ("dog", "cats", "tree")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 12 images with regions of all sizes; in B one image less."""
    folder, generator = tmp_path_factory.mktemp("both"), np.random.default_rng(0)
    images = []
    for number in range(12):
        pairs = {}
        for noun in NOUNS:
            x0, y0 = generator.integers(0, 10), generator.integers(0, 6)
            pairs[noun] = (rectangle(x0, y0, x0 + generator.integers(2, 6), y0 + generator.integers(2, 6)), 0.5)
        images.append(MadeImage(str(number), pairs))
    return write_dataset(folder / "a", images), write_dataset(folder / "b", images[1:])


def similarities(clip: Clip, dataset: Path, names: list[str]) -> dict[str, np.ndarray]:
    """By key, of every region cut by itself."""
    text_CD, layout, found = TextEmbedder(clip, "vild")(names), Layout(str(dataset)), {}
    for row in pq.read_table(dataset / "manifests").to_pylist():
        members = read_sample(layout, row["shard"], row["tar_offset"], row["tar_length"])
        image = torch.from_numpy(np.array(open_image(members["jpg"], ("JPEG",)))).permute(2, 0, 1)
        mask = torch.from_numpy(np.array(open_image(members["mask.png"], ("PNG",)), bool))[None]
        pixels, *_ = masked_regions(image, mask, clip_input=clip.input)
        with torch.inference_mode():
            features = F.normalize(clip.vision(pixels, None), dim=-1)
        found[row["key"]] = (features @ text_CD.T)[0].numpy()
    return found


def test_the_nearest_pairs_are_those_of_most_similarity(tiny, both):
    questions = [Question(("dog",)), Question(("cat", "tree"))]
    encoder = Encoder(tiny, RegionsConfig(), "vild", 4)
    with open_comparison(*map(str, both)) as comparison:
        near, confused = find_nearest(comparison.workspace, comparison.b, encoder, questions, most=100, count=7)
    assert (near.looked_at, near.pairs) == (33, 33)
    assert near.table.schema.equals(schemas.NEAREST_PAIRS)
    expected = similarities(tiny, both[1], ["dog", "cat", "tree"])
    for row in [*near.table.to_pylist(), *confused.table.to_pylist()]:
        columns = [0] if row["class"] == "dog" else [1, 2]
        told = [row["similarity"], *([row["similarity_taken_for"]] if len(columns) == 2 else [])]
        np.testing.assert_allclose(told, expected[row["key"]][columns], atol=1e-5)
        assert row["category"] == "same"
    kept = near.table["similarity"].to_pylist()
    assert kept == sorted(kept, reverse=True)
    np.testing.assert_allclose(kept, sorted((found[0] for found in expected.values()), reverse=True)[:7], atol=1e-5)
    standard = np.array(list(expected.values()))[:, 1:]
    standard = ((standard - standard.mean(0)) / standard.std(0)).min(1)
    first = list(expected).index(confused.table["key"][0].as_py())
    assert standard[first] == pytest.approx(standard.max(), abs=1e-3)  # two pairs differ by rounding alone


def test_pairs_that_the_class_names_are_looked_at_first(tiny, both):
    encoder = Encoder(tiny, RegionsConfig(), "vild", 4)
    with open_comparison(*map(str, both)) as comparison:
        [found] = find_nearest(comparison.workspace, comparison.b, encoder, [Question(("Cat",))], most=11, count=50)
    assert (found.looked_at, found.pairs) == (11, 33)
    assert set(found.table["noun"].to_pylist()) == {"cats"}


def test_by_the_command_line(both, tiny_folder, tmp_path, capsys):
    a, b = map(str, both)
    asked = ["--near", "dog", "--confused", "cat", "tree", "--clip.architecture", f"local-dir:{tiny_folder}"]
    assert inspect.main(["diff", a, b, "--output", str(tmp_path), "--count", "5", *asked]) == 0
    said = capsys.readouterr().out
    assert "pairs near dog, of 33 of 33" in said
    assert "pairs cat taken for tree" in said
    table = pq.read_table(tmp_path / "nearest.parquet")
    assert table.schema.equals(schemas.NEAREST_PAIRS)
    assert table["rank"].to_pylist() == [*range(5)] * 2
    text = (tmp_path / "index.html").read_text()
    assert "Pairs near dog (" in text
    groups = [row["groups"] for row in json.loads(text.split('id="rows">')[1].split("</script>")[0])]
    assert sum("nearest-0" in found for found in groups) == 5


def test_a_clip_that_is_not_there(both, capsys):
    asked = ["--near", "dog", "--clip.architecture", "local-dir:/nowhere"]
    assert inspect.main(["diff", *map(str, both), *asked]) == 2
    assert "clip.architecture 'local-dir:/nowhere'" in capsys.readouterr().err

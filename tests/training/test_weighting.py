"""Weights of pairs, and what of a dataset is selected with them."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.folds import fold_of
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.quality import write_quality
from pipeline.errors import UserError
from pipeline.training.expression import parse_expression
from pipeline.training.samples import DataConfig, Samples, select_samples
from pipeline.training.weighting import weigh_pairs
from tests.conftest import REPOSITORY
from tests.training.datasets import judge, p_right, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = write_dataset(tmp_path_factory.mktemp("dataset"), shards=3, images=40, side=4)
    judge(folder)
    return folder


@pytest.fixture(scope="module")
def frame(dataset):
    """All pairs with their probabilities, sorted by key."""
    frames = []
    for shard in range(3):
        frames.append(pq.read_table(dataset / "manifests" / f"{shard:06d}.parquet").to_pandas())
        frames[-1]["p_right"] = p_right(len(frames[-1]), shard)
    return pd.concat(frames).sort_values("key", ignore_index=True)


def select(folder, **options) -> Samples:
    return select_samples(str(folder), DataConfig(**{"held_out_share": 0.0, **options}))


def test_the_best_of_each_noun_by_what_was_learnt(dataset, frame):
    ranks = frame.groupby("noun")["p_right"].rank(method="min", ascending=False) - 1
    expected = frame[ranks / (frame.groupby("noun")["key"].transform("count") - 1) < 0.6]
    samples = select(dataset, where="percent_rank() over (partition by noun order by p_right desc) < 0.6")
    assert samples.table["key"].to_pylist() == list(expected["key"])
    assert samples.weight_of_row is None
    assert samples.quality_sha256


def test_weights_with_balance_between_nouns(dataset, frame):
    samples = select(dataset, weight="p_right / sqrt(count(*) over (partition by noun))")
    expected = frame["p_right"] / np.sqrt(frame.groupby("noun")["key"].transform("count"))
    np.testing.assert_allclose(samples.weight_of_row, expected / expected.mean(), rtol=1e-6)
    assert samples.table["weight"].to_numpy().mean() == pytest.approx(1, abs=1e-12)
    assert samples.selection.effective_pairs == pytest.approx(expected.sum() ** 2 / (expected**2).sum())


def test_weights_look_at_the_pairs_that_are_trained_on_alone(dataset, frame):
    """Not at those of other folds, held-out images, and those that a condition leaves out."""
    options = {"where": "clip_score > 0.2", "held_out_share": 0.3, "fold": 1}
    samples = select(dataset, weight="1.0 / count(*) over (partition by noun)", **options)
    held_out = set(np.array(samples.table["key"])[samples.held_out])
    frame = frame[frame["clip_score"] > np.float32(0.2)]
    trained = frame[~frame["key"].isin(held_out) & (frame["image_id"].map(lambda image: fold_of(image, 2)) == 1)]
    assert [samples.key(row) for row in samples.train] == list(trained["key"])
    expected = 1 / trained.groupby("noun")["key"].transform("count")
    np.testing.assert_allclose(samples.weight_of_row[samples.train], expected / expected.mean(), rtol=1e-6)
    assert (samples.weight_of_row[samples.held_out] == 1).all()
    assert samples.table["weight"].null_count == len(samples.held_out) > 0
    assert select(dataset, **options).held_out.size == len(samples.held_out)


def test_pairs_of_weight_nothing_are_left_out(dataset, frame):
    samples = select(dataset, weight="greatest(p_right - 0.5, 0)", held_out_share=0.2)
    trained = [samples.key(row) for row in samples.train]
    probability = dict(zip(frame["key"], frame["p_right"], strict=True))
    assert trained
    assert all(probability[key] > 0.5 for key in trained)
    assert {samples.key(row) for row in samples.held_out} == set(
        np.array(select(dataset, held_out_share=0.2).table["key"])[select(dataset, held_out_share=0.2).held_out]
    )
    selection = samples.selection
    assert selection.not_held_out == 240 - len(samples.held_out)
    assert selection.training_pairs == len(trained) < selection.not_held_out
    assert f"{selection.not_held_out - len(trained)} of weight 0 are left out" in str(selection)
    assert samples.weight_of_row[samples.train].mean() == pytest.approx(1)


@pytest.mark.parametrize("weight", ["1", "7.3", "noun <> 'no such noun'", "p_right * 0 + 1e300"])
def test_equal_weights_are_none(dataset, weight):
    samples, plain = select(dataset, weight=weight), select(dataset)
    assert samples.table.equals(plain.table)
    assert samples.sha256 == plain.sha256


def test_weights_of_one_and_nothing_are_a_condition(dataset):
    samples, plain = select(dataset, weight="noun = 'dog'"), select(dataset, where="noun = 'dog'")
    assert samples.table.equals(plain.table)
    assert samples.sha256 == plain.sha256


def test_the_digest_covers_the_weights(dataset):
    digests = {select(dataset, weight=weight).sha256 for weight in (None, "p_right", "p_right + 0.001", "clip_score")}
    assert len(digests) == 4
    assert select(dataset, weight="p_right").sha256 == select(dataset, weight="2 * p_right").sha256


def test_they_can_be_written_and_read(dataset, tmp_path):
    samples = select(dataset, weight="p_right", held_out_share=0.2)
    samples.write(str(tmp_path / "samples.parquet"))
    read = Samples.read(str(tmp_path / "samples.parquet"))
    assert read.sha256 == samples.sha256
    assert read.quality_sha256 == samples.quality_sha256 is not None
    assert (read.weight_of_row == samples.weight_of_row).all()
    plain = select(dataset)
    plain.write(str(tmp_path / "plain.parquet"))
    assert b"quality" not in pq.read_schema(tmp_path / "plain.parquet").metadata[b"samples"]
    assert pq.read_schema(tmp_path / "plain.parquet").names[-1] == "held_out"


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("clip_score - 0.5", r"gives \d+ of the 240 training pairs no weight, .*: 000000-00000-000 gets -0\.5;"),
        ("case when noun = 'dog' then 1 end", r"gives 160 of the 240 .*: 000000-00000-000 gets null;"),
        ("case when noun = 'dog' then 'nan'::double else 1 end", r"gives 80 of .* gets nan;"),
        ("case when key = '000001-00002-001' then 'inf'::double else 1 end", r"gives 1 of .*-00002-001 gets inf;"),
        ("0", "gives each of the 240 training pairs the weight 0"),
        ("noun", "Conversion Error"),
        ("sum(clip_score)", "aggregates need a window"),
        ("random()", "uses random"),
        ("p_rihgt", r'"p_rihgt" not found.*columns: key.*p_right where python -m jobs\.inspect quality'),
    ],
)
def test_what_is_no_weight_is_refused(dataset, weight, message):
    with pytest.raises(UserError, match=rf"(?s)^data\.weight: .*{message}"):
        select(dataset, weight=weight)


def test_probabilities_that_are_not_there(tmp_path):
    folder = write_dataset(tmp_path, shards=2)
    for options in ({"where": "p_right > 0.5"}, {"weight": "p_right"}):
        with pytest.raises(UserError, match=r"quality/000000.parquet.* python -m jobs\.inspect quality"):
            select(folder, **options)
    assert select(folder, where="noun <> 'p_right'").quality_sha256 is None
    judge(folder)
    digest = select(folder, weight="p_right").quality_sha256
    layout = Layout(str(folder))
    manifest = read_whole_manifest(layout, 1)
    write_quality(layout, manifest, np.full(len(manifest.table), 0.5, np.float32), {})
    assert select(folder, weight="p_right").quality_sha256 != digest


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.one_of(st.just(0.0), st.floats(0, 1.7e308), st.floats(0, 1e-300), st.integers(1, 3).map(float)),
        min_size=1,
        max_size=20,
    )
)
def test_weights_are_relative_to_their_mean(values):
    pairs = pa.table({"key": [f"{index:06d}-00000-000" for index in range(len(values))], "clip_score": values})
    weight = parse_expression("data.weight", "clip_score")
    if not any(values):
        with pytest.raises(UserError, match="the weight 0"):
            weigh_pairs(pairs, weight)
        return
    found = weigh_pairs(pairs, weight)
    assert np.isfinite(found).all()
    assert found[found > 0].mean() == pytest.approx(1)
    assert (found[found > 0].astype(np.float32) > 0).all()
    scaled = np.array(values) / max(values)
    counted = found > 0
    assert (scaled[~counted] < 1e-12).all()
    np.testing.assert_allclose(found[counted], scaled[counted] / scaled[counted].mean(), rtol=1e-9)


def recipes() -> list[tuple[str, str]]:
    """The settings in the table of training's README."""
    text = (REPOSITORY / "pipeline" / "training" / "README.md").read_text()
    return re.findall(r'^\|.*\| `data\.(where|weight): "(.*)"` \|$', text, re.MULTILINE)


@pytest.mark.parametrize(("name", "text"), recipes())
def test_the_recipes_of_the_readme_work(dataset, name, text):
    thresholds = {"0.25": "0.1", "1024": "4", "limit 200": "limit 2"}  # of a small dataset
    for there, here in thresholds.items():
        text = text.replace(there, here)
    samples = select(dataset, **{name: text})
    if name == "where":
        assert 0 < len(samples.table) <= 240
    else:
        assert len(samples.table) == 240
        assert (samples.weight_of_row is None) == text.startswith("1 / count")  # each noun has as many pairs


def test_the_readme_has_recipes():
    assert {name for name, _ in recipes()} == {"where", "weight"}
    assert len(recipes()) > 10

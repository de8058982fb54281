"""What `--simulate` is told."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import mine
from pipeline.errors import UserError
from pipeline.simulation.config import SimulationConfig, parse_simulation

counts = st.integers(1, 10**12)
amounts = st.floats(1e-6, 1e9)
settings = st.fixed_dictionaries(
    {"nodes": counts, "images": counts},
    optional={
        "gpus_per_node": counts,
        "shards": counts,
        "memory_gb": amounts,
        "propose_seconds": amounts,
        "spread": st.floats(0, 1),
        "seed": st.integers(0, 10),
        "dollars_per_gpu_hour": st.floats(0, 1e6),
        "measured": st.from_regex(r"[a-z0-9:/._=-]+", fullmatch=True),
    },
)


@given(settings, st.randoms(use_true_random=False))
def test_what_is_given_is_what_is_meant(given_settings, rng):
    parts = [f"{key}={value}" for key, value in given_settings.items()]
    rng.shuffle(parts)
    assert parse_simulation(", ".join(parts)) == SimulationConfig(**given_settings)


@given(settings, st.sampled_from(["nodes", "images"]))
def test_what_is_missing_is_named(given_settings, missing):
    del given_settings[missing]
    with pytest.raises(UserError, match=missing):
        parse_simulation(",".join(f"{key}={value}" for key, value in given_settings.items()))


@given(st.text())
def test_no_text_does_anything_but_parse_or_tell(text):
    with contextlib.suppress(UserError):
        parse_simulation(f"nodes=1,images=1,{text}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes=2,images=3,nodes=4", "nodes is there twice"),
        ("nodes=2,images=3,gpus=4", "'gpus=4' is no key=value with one of these keys: nodes, images, gpus_per_node"),
        ("nodes=two,images=3", "nodes is 'two', not a whole number"),
        ("nodes=0,images=3", "nodes is 0; it must be above 0"),
        ("nodes=1,images=3,match_seconds=nan", "match_seconds is nan; it must be above 0"),
        ("nodes=1,images=3,spread=2", "spread is 2.0; it must be at least 0 and at most 1"),
        ("nodes=1,images=3,measured=", "measured is empty"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(text, message, capsys):
    captions = ["--captions.format=coco", "--captions.path=none.json", "--output=none"]
    assert mine.main([*captions, f"--simulate={text}"]) == 2
    assert f"error: simulate: {message}" in capsys.readouterr().err


def test_numbers_may_have_underscores():
    assert parse_simulation("nodes=64,gpus_per_node=8,images=100_000_000").images == 100_000_000

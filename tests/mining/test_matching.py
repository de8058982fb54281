"""The matching rule against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mining.matching import Candidate, MatchingConfig, match, passes


def unit_rows(rng, count, width):
    rows = rng.standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(
    seed=st.integers(0, 2**32 - 1),
    regions=st.integers(1, 12),
    nouns=st.integers(1, 6),
    candidates=st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_every_noun_gets_its_most_similar_regions(seed, regions, nouns, candidates):
    rng = np.random.default_rng(seed)
    features, texts = unit_rows(rng, regions, 8), unit_rows(rng, nouns, 8)
    cosine = np.array([[np.dot(f, t) for t in texts] for f in features])
    found = match(features, texts, candidates)
    assert len(found) == nouns
    for noun, best in enumerate(found):
        ranked = sorted(range(regions), key=lambda region: -cosine[region, noun])
        assert [candidate.region for candidate in best] == ranked[:candidates]
        assert [candidate.rank for candidate in best] == list(range(len(best)))
        for candidate in best:
            own = cosine[candidate.region, noun]
            assert candidate.score == pytest.approx(own, abs=1e-6)
            others = [cosine[candidate.region, other] for other in range(nouns) if other != noun]
            if others:
                assert candidate.noun_margin == pytest.approx(own - max(others), abs=1e-5)
            else:
                assert candidate.noun_margin is None
            if candidate.rank + 1 < regions:
                runner_up = cosine[ranked[candidate.rank + 1], noun]
                assert candidate.mask_margin == pytest.approx(own - runner_up, abs=1e-5)
            else:
                assert candidate.mask_margin is None


def test_ties_go_to_the_first_region_and_one_region_may_serve_several_nouns():
    features = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], np.float32)
    texts = np.array([[1.0, 0.0], [0.8, 0.6]], np.float32)
    found = match(features, texts, 3)
    assert [candidate.region for candidate in found[0]] == [1, 2, 0]
    assert found[1][0].region == 1
    assert found[1][0].noun_margin == pytest.approx(0.8 - 1.0)
    assert found[0][0].mask_margin == 0


def test_without_regions_every_noun_has_no_candidates():
    assert match(np.zeros((0, 4), np.float32), np.zeros((2, 4), np.float32), 5) == [[], []]


def test_filters_are_off_by_default_and_inclusive_when_on():
    weak = Candidate(noun=0, region=0, rank=0, score=0.2, noun_margin=-0.1, mask_margin=0.05)
    assert passes(weak, 1, MatchingConfig())
    assert passes(weak, 10, MatchingConfig(min_score=0.2, min_noun_margin=-0.1, min_mask_margin=0.05, min_area=10))
    assert not passes(weak, 10, MatchingConfig(min_score=0.21))
    assert not passes(weak, 10, MatchingConfig(min_noun_margin=0.0))
    assert not passes(weak, 10, MatchingConfig(min_mask_margin=0.06))
    assert not passes(weak, 9, MatchingConfig(min_area=10))
    alone = Candidate(noun=0, region=0, rank=0, score=0.2, noun_margin=None, mask_margin=None)
    assert passes(alone, 1, MatchingConfig(min_noun_margin=0.5, min_mask_margin=0.5))

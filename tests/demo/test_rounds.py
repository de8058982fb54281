"""Rounds of a demo: which configuration they run, and what the rule would have done."""

from pathlib import Path

from pipeline.chain.config import resolve
from pipeline.chain.round_jobs import jobs_of_round
from pipeline.demo.rounds import COUNT, ROUNDS_VARIANTS, by_the_rule, chain_config
from pipeline.demo.runs import DemoRuns
from pipeline.demo.scale import QUICK
from tests.report.test_rounds import FIRST, LATER, RESULT


def test_by_the_rule():
    """All rounds are run; the rule would have stopped at the first that does not gain by more than chance."""
    later = LATER | {"labelled": None}
    good = later | {"accuracy": 0.6}
    for rounds, expected in (
        ([FIRST, later, good | {"number": 2}], (1, 0)),
        ([FIRST, good, later | {"number": 2}], (2, 1)),
        ([FIRST, good | {"agreement": 0.1}, good | {"number": 2}], (1, 0)),
        # On a hundred regions an error is five points: neither of the later rounds is worse than round 0.
        ([row | {"regions": 100} for row in (FIRST, later, good | {"number": 2})], (2, 2)),
    ):
        assert by_the_rule(RESULT | {"rounds": rounds}) == expected


def test_all_variants_share_round_0(ray_cluster, tmp_path: Path):
    runs = DemoRuns(tmp_path, QUICK, 0)
    runs.folder.mkdir()
    runs.labels(100).touch()
    jobs = [resolve(chain_config(runs, variant)) for variant in ROUNDS_VARIANTS]
    assert len({repr(jobs_of_round(one, 0)) for one in jobs}) == 1
    assert len({one.output for one in jobs}) == len(jobs)
    assert {one.rounds.count for one in jobs} == {COUNT}
    assert [one.rounds.matcher for one in jobs] == ["mask_prompt", "full", "full"]
    assert [len(jobs_of_round(one, 1).matchers) for one in jobs] == [1, 1, 2]

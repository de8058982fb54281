"""What the jobs of each round are told, and what is refused before any of them starts."""

from dataclasses import replace

import pytest

from jobs.command import Command
from pipeline.chain.config import ChainConfig, Jobs, resolve
from pipeline.chain.round_jobs import evaluation_of_round, jobs_of_round
from pipeline.chain.rounds_config import BEST_80
from pipeline.clip import ClipConfig
from pipeline.errors import UserError

MINIMAL = ("--output=/run", "--mine.captions.format=coco", "--mine.captions.path=captions.json", "--rounds.count=2")


def parse(*arguments: str) -> Jobs:
    config, _ = Command("jobs.run", "", ChainConfig).parse(list(arguments))
    return resolve(config)


def test_round_0_is_the_chain_without_rounds():
    jobs = parse(*MINIMAL)
    first = jobs_of_round(jobs, 0)
    assert (first.mine, first.train, first.matchers) == (jobs.mine, jobs.train, [])
    assert first.clip == "local-dir:/run/adapted/model"


def test_without_labels_mask_prompts_match_again():
    jobs = parse(*MINIMAL, "--train.data.where=clip_score > 0.2", "--mine.keep_proposals=true")
    second = jobs_of_round(jobs, 2)
    [matcher] = second.matchers
    assert matcher == replace(
        jobs.train, dataset="/run/rounds/1/mined", output="/run/rounds/2/matcher", mode="mask_prompt"
    )
    clip = replace(jobs.mine.clip, architecture="local-dir:/run/rounds/2/matcher/model", weights=None)
    proposals = replace(jobs.mine.proposals, backend="mined", options={"dataset": "/run/mined"})
    assert second.mine == replace(
        jobs.mine, output="/run/rounds/2/mined", clip=clip, proposals=proposals, keep_proposals=False
    )
    # From the original weights, and in the mode of round 0.
    assert second.train == replace(jobs.train, dataset="/run/rounds/2/mined", output="/run/rounds/2/adapted")
    assert jobs_of_round(jobs, 1).matchers[0].dataset == "/run/mined"


def test_with_labels_the_best_pairs_are_for_the_matching_clip_and_all_for_the_result():
    jobs = parse(*MINIMAL, "--rounds.labels=labels.json", "--train.data.where=mask_area > 9", "--train.mode=full")
    first = jobs_of_round(jobs, 1)
    [matcher] = first.matchers
    assert matcher.data == replace(jobs.train.data, where=f"(mask_area > 9) AND ({BEST_80})")
    assert (matcher.mode, first.train.data) == ("full", jobs.train.data)
    given = parse(
        *MINIMAL, "--rounds.labels=labels.json", "--rounds.keep=p_right > 0.5", "--rounds.final=p_right > 0.1",
        "--rounds.weight=p_right", "--rounds.matcher=full_then_mask_prompt",
    )  # fmt: skip
    first = jobs_of_round(given, 1)
    assert first.matchers[0].data == replace(given.train.data, where="p_right > 0.5", weight="p_right")
    assert first.matchers[0].mode == "full_then_mask_prompt"
    assert first.train.data == replace(given.train.data, where="p_right > 0.1")


def test_proposals_that_were_not_kept_are_made_again():
    jobs = parse(*MINIMAL)
    assert jobs_of_round(jobs, 1).mine.proposals == jobs.mine.proposals


def test_cross_fitting_matches_no_image_with_a_clip_that_was_adapted_to_it():
    jobs = parse(*MINIMAL, "--rounds.cross_fit=true")
    first = jobs_of_round(jobs, 1)
    assert [matcher.output for matcher in first.matchers] == ["/run/rounds/1/matcher-0", "/run/rounds/1/matcher-1"]
    # `data.fold` is the fold that is learned from; mining takes the CLIPs in the order of the folds that they match.
    assert [matcher.data.fold for matcher in first.matchers] == [1, 0]
    assert {matcher.full.epochs for matcher in first.matchers} == {2 * jobs.train.full.epochs}  # of half as many
    clips = [f"local-dir:/run/rounds/1/matcher-{fold}/model" for fold in range(2)]
    assert (first.mine.cross_fit, first.mine.clip) == (clips, jobs.mine.clip)


def test_evaluations_are_of_the_chosen_round():
    items = "[{dataset: {kind: voc_20, root: /v}}, {dataset: {kind: voc_20, root: /v}, clip: {weights: openai, "
    jobs = parse(*MINIMAL, f"--evaluate={items} architecture: ViT-B-16}}, output: /untouched}}]")
    assert evaluation_of_round(jobs, 0, 0) == jobs.evaluations[0].config
    of_second = evaluation_of_round(jobs, 0, 2)
    assert of_second.clip == ClipConfig("local-dir:/run/rounds/2/adapted/model", None)
    assert of_second.output == "/run/rounds/2/evaluated/0-voc_20"
    assert evaluation_of_round(jobs, 1, 2) == jobs.evaluations[1].config


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--rounds.count=-1", r"rounds\.count is -1; it must be at least 0"),
        ("--rounds.stop.min_nouns=1.5", r"rounds\.stop\.min_nouns is 1\.5; it must be at least 0 and at most 1"),
        ("--rounds.keep=p_right > 0.5", r"rounds\.keep names p_right, which labels give: set rounds\.labels"),
        ("--rounds.matcher=pretrain", "mode pretrain learns nothing of masked regions"),
        ("--train.data.held_out_share=0", r"train\.data\.held_out_share is 0, so that nothing is held out"),
        ("--rounds.choose_by=0", r"rounds\.choose_by: evaluate\[0\] is not there.*there are 0 evaluations"),
        ("--rounds.labels=s3://key:hush@bucket/labels.json", r"rounds\.labels contains a secret"),
    ],
)
def test_contradictions_are_named(argument, message):
    with pytest.raises(UserError, match=message):
        parse(*MINIMAL, argument)


def test_labels_without_rounds_are_refused():
    with pytest.raises(UserError, match=r"rounds\.labels is given, but rounds\.count is 0"):
        parse(*MINIMAL[:-1], "--rounds.labels=labels.json")


def test_the_example_is_complete_and_known():
    jobs = parse("--config=jobs/run-rounds.yaml", "--rounds.labels=labels.json")
    assert jobs.rounds.keep == BEST_80
    assert jobs.mine.keep_proposals

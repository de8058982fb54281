"""Rounds in a demo: mined again by the adapted CLIP, with and without labels, as `python -m jobs.run` does it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.chain.config import ChainConfig, MineSection, TrainSection, resolve
from pipeline.chain.decisions import LabelledPairs, Round, best_round, decide
from pipeline.chain.rounds_config import RoundsConfig, StopConfig
from pipeline.chain.run import run_chain
from pipeline.chain.steps import ChainStep
from pipeline.clip import ClipConfig
from pipeline.demo.labelling import ready_labels
from pipeline.demo.measures import MeasuredClip, measure, measure_mining
from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import UNTOUCHED
from pipeline.evaluation.run import evaluate

COUNT = 2
"""Rounds after round 0. All are run, whatever the rule that stops says, to show whether it is right."""
_HELD_OUT_SHARE = 0.1
_ENDLESS = StopConfig(min_gain=None, max_retention_loss=None, min_nouns=None, min_agreement=None, min_right_kept=None)


@dataclass(frozen=True)
class RoundsVariant:
    """One way to go through the rounds."""

    name: str
    title: str
    labels: int | None
    cross_fit: bool = False


ROUNDS_VARIANTS = (
    RoundsVariant("unlabelled", "no labels, matched by the mask-prompted CLIP", None),
    RoundsVariant("labelled", "100 labels", 100),
    RoundsVariant("cross-fitted", "100 labels, cross-fitted", 100, cross_fit=True),
)


@dataclass(frozen=True)
class MeasuredRound:
    """What a round came to; per cent."""

    precision: dict[str, float]
    """Of its pairs by the truth: all, things, grounds."""
    clip: MeasuredClip
    """Its CLIP on the test scenes."""
    held_out: dict[str, float | None]
    """What the chain knows: accuracy and retention on held-out images, agreement, nouns that survive."""


@dataclass(frozen=True)
class MeasuredRounds:
    """The rounds of one variant and seed."""

    rounds: list[MeasuredRound]
    stopped_after: int
    """The last round that the rule would have run."""
    chosen: int
    """The round that it would have chosen."""


def run_rounds(runs: DemoRuns, variant: RoundsVariant, say: Callable[[str], None]) -> MeasuredRounds:
    """Run, or find done, the rounds of a variant, and measure each of them by the truth.

    Args:
        say: called with what begins.
    """
    runs.mine_visual()
    jobs = resolve(chain_config(runs, variant))

    def begin(step: ChainStep) -> None:
        if step.part in ("mine", "train"):
            say(f"rounds, {variant.title}: {step.section}")

    done = run_chain(jobs, begin=begin, end=lambda *_: None)
    result = next(result for step, result in done if step.part == "rounds")
    rounds = [_measure(runs, variant, row) for row in result["rounds"]]
    return MeasuredRounds(rounds, *by_the_rule(result))


def chain_config(runs: DemoRuns, variant: RoundsVariant) -> ChainConfig:
    """The chain of a variant; mining and training of round 0 are those of all variants."""
    training = replace(runs.training(runs.mined_visual, runs.clip(UNTOUCHED), runs.adapted("rounds-0")), mode="full")
    training = replace(
        training,
        data=replace(training.data, held_out_share=_HELD_OUT_SHARE),
        full=runs.full_phase(runs.scale.epochs),
        mask_prompt=replace(training.mask_prompt, epochs=runs.scale.epochs),
    )
    return ChainConfig(
        output=str(runs.folder / "rounds" / variant.name),
        mine=MineSection(**_fields(runs.visual_mining())),
        train=TrainSection(**_fields(training)),
        rounds=RoundsConfig(
            count=COUNT,
            labels=str(ready_labels(runs, variant.labels)) if variant.labels else None,
            cross_fit=variant.cross_fit,
            stop=_ENDLESS,
        ),
    )


def _measure(runs: DemoRuns, variant: RoundsVariant, row: dict) -> MeasuredRound:
    name = f"rounds-{variant.name}-{row['number']}" if row["number"] else "rounds-0"
    config = runs.evaluation_config(UNTOUCHED, label=name)
    clip = ClipConfig(f"local-dir:{row['adapted']}/model", None, batch_size=config.clip.batch_size)
    evaluate(replace(config, clip=clip))
    precision = measure_mining(Path(row["mined"]), runs.mined_world)
    return MeasuredRound(
        {kind: 100 * precision[kind].precision for kind in ("all", "things", "grounds")},
        measure(runs.evaluation(name), runs.groups),
        {key: row[key] and 100 * row[key] for key in ("accuracy", "retention", "agreement", "surviving_nouns")},
    )


def by_the_rule(result: dict) -> tuple[int, int]:
    """The round after which the rule that stops would have stopped, and the one that it would have chosen."""
    rounds = [_round(row) for row in result["rounds"]]
    stop, decisions = StopConfig(), []
    for count in range(1, len(rounds) + 1):
        decisions.append(decide(rounds[:count], result["original"]["retention"], stop, by_miou=False))
        if decisions[-1].stops:
            break
    return len(decisions) - 1, best_round(rounds[: len(decisions)], decisions, stop, by_miou=False)


def _round(row: dict) -> Round:
    known = {key: row[key] for key in Round.__dataclass_fields__}
    labelled = known["labelled"]
    return Round(**known | {"labelled": LabelledPairs(**labelled) if labelled else None})


def _fields(config: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def write_rounds(path: Path, found: dict[str, list[MeasuredRounds]]) -> None:
    """Keep the figures, by title of the variant, one entry a seed."""
    content = {title: [asdict(one) for one in measured] for title, measured in found.items()}
    path.write_text(json.dumps(content, indent=1))

"""The ablation of what adaptation costs: which weights move, whole images replayed, weights averaged with the original.

Every CLIP is measured on masked regions, on proposals, and on what it was pretrained on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from pipeline.demo.measures import MeasuredClip, measure
from pipeline.demo.natural_accuracy import NaturalAccuracy, natural_accuracy
from pipeline.demo.report import spread
from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import FULL, UNTOUCHED, Variant

_QV: Mapping[str, Any] = {"full.parameters": "attention_qv"}
_BOTH_TOWERS: Mapping[str, Any] = {**_QV, "text.parameters": "attention_qv"}
_LORA: Mapping[str, Any] = {"full.parameters": "lora", "full.learning_rate": 2e-3}
_REPLAY: Mapping[str, Any] = {"replay.share": 0.25}
# Un-masked regions stay as near to what the original CLIP makes of them.
_DISTILLED: Mapping[str, Any] = {"data.unmasked_share": 0.25, "loss.distillation": 10.0}


def _variant(name: str, title: str, *changes: Mapping[str, Any]) -> Variant:
    return Variant(f"keeping-{name}", title, "full", changes={key: of[key] for of in changes for key in of})


KEEPING_VARIANTS = (
    FULL,
    _variant("replay", "full, replay", _REPLAY),
    _variant("distilled", "full, distillation", _DISTILLED),
    _variant("replay-distilled", "full, replay, distillation", _REPLAY, _DISTILLED),
    _variant("averaged", "full, half of the way (WiSE-FT)", {"full.wise_ft": 0.5}),
    _variant("qv", "attention q and v", _QV),
    _variant("qv-replay", "attention q and v, replay", _QV, _REPLAY),
    _variant("qv-both", "attention q and v of both towers", _BOTH_TOWERS),
    _variant("qv-both-replay", "attention q and v of both towers, replay", _BOTH_TOWERS, _REPLAY),
    _variant("lora", "LoRA", _LORA),
    _variant("lora-replay", "LoRA, replay", _LORA, _REPLAY),
)


@dataclass(frozen=True)
class MeasuredKeeping:
    """What a CLIP has learnt, and what it still knows."""

    clip: MeasuredClip
    natural: NaturalAccuracy


def run_keeping(runs: DemoRuns, say: Callable[[str], None]) -> dict[str, MeasuredKeeping]:
    """Run, or find done, the variants of one seed; its pairs are mined.

    Args:
        say: called with what begins.

    Returns:
        by title of the variant; first the untouched CLIP.
    """
    found = {"CLIP untouched": _measure(runs, UNTOUCHED)}
    for variant in KEEPING_VARIANTS:
        say(f"adapting: {variant.title}")
        runs.adapt(variant)
        found[variant.title] = _measure(runs, variant.name)
    return found


def _measure(runs: DemoRuns, name: str) -> MeasuredKeeping:
    runs.evaluate(name)
    kept = runs.folder / "natural" / f"{name}.json"
    if not kept.exists():
        measured = natural_accuracy(runs.evaluation_config(name).clip, runs.folder / "test-world")
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(asdict(measured)))
    natural = NaturalAccuracy(**json.loads(kept.read_text()))
    return MeasuredKeeping(measure(runs.evaluation(name), runs.groups), natural)


def keeping_table(found: Sequence[Mapping[str, MeasuredKeeping]]) -> Table:
    """A row for each variant.

    Args:
        found: by title, one a seed.
    """
    table = Table(
        "CLIP",
        title="what is learnt, and what is kept",
        caption="Per cent, mean ± standard deviation over seeds. Masked: true regions, blanked around. Natural crops: "
        "their boxes with surroundings. Whole scenes: the nearest noun names something in them.",
        caption_justify="left",
    )
    for name in ("masked, all", "things", "grounds", "mIoU", "whole scenes", "natural crops"):
        table.add_column(name, justify="right")
    for title in found[0]:
        rows = [_figures(seed[title]) for seed in found]
        table.add_row(title, *map(spread, zip(*rows, strict=True)))
    return table


def _figures(one: MeasuredKeeping) -> list[float]:
    accuracy = one.clip.accuracy
    masked = [accuracy[kind] for kind in ("all", "things", "grounds")]
    return [*masked, one.clip.miou["all"], one.natural.scenes, one.natural.crops]

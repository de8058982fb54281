"""Banks of the mined pairs beside the untouched and the adapted CLIP: what is gained without training, and on top."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.bank.config import BankConfig
from pipeline.demo.measures import MeasuredClip, measure
from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import FULL, UNTOUCHED, VISUAL_NOUNS
from pipeline.evaluation.run import evaluate
from pipeline.export.bank import export_bank
from pipeline.export.bank_source import BankSettings

_TITLES = {UNTOUCHED: "CLIP untouched, with a bank", FULL.name: f"{FULL.title}, with a bank"}


def run_banks(runs: DemoRuns, say: Callable[[str], None]) -> dict[str, MeasuredClip]:
    """Write a bank of the mined pairs for each of the CLIPs, and evaluate it with that bank; they are trained.

    Args:
        say: called with what begins.

    Returns:
        the figures, by title.
    """
    measured = {}
    for name, title in _TITLES.items():
        say(f"a bank for: {title}")
        bank = runs.folder / "banks" / name
        settings = BankSettings(architecture=f"local-dir:{runs.clip(name)}", where=VISUAL_NOUNS)
        export_bank([str(runs.mined)], str(bank), settings)
        config = runs.evaluation_config(name, label=f"{name}-bank")
        segmentation = replace(config.segmentation, bank=BankConfig(path=str(bank)))
        evaluate(replace(config, segmentation=segmentation))
        measured[title] = measure(runs.evaluation(f"{name}-bank"), runs.groups)
    return measured

"""The report of a training run."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.report.charts import Chart, bars, lines
from pipeline.report.page import page_uri, render, write_page
from pipeline.report.training.examples import draw_examples
from pipeline.report.training.reading import Change, NounGain, TrainingRun, changes, noun_gains, read_run
from pipeline.report.training.retention import interpolation_charts, retention_chart

EXAMPLES = 24
"""Regions shown of those that are named rightly now and were not, and as many of the reverse."""
_BARS = 20


def write_training_report(run: str, to: str, examples: int | None = None) -> str:
    """Write the page; returns its URI.

    Args:
        run: output directory of a training job.
        to: the folder for `index.html`, or an HTML file.
        examples: regions shown of each kind; empty: `EXAMPLES`.

    Raises:
        UserError: the run is not complete.
        OSError: storage cannot be read or written.
    """
    found = read_run(run)
    gains: list[NounGain] = []
    learnt: list[Change] = []
    lost: list[Change] = []
    if found.validations and (before := found.validations[0].regions) and (after := found.validations[-1].regions):
        gains, (learnt, lost) = noun_gains(before, after), changes(before, after)
    count = EXAMPLES if examples is None else examples
    groups, missing = _examples(found, {"learnt": learnt, "lost": lost}, count)
    html = render(
        "training.html",
        scripts=("tables.js",),
        run=found,
        settings=_settings(found),
        curves=[chart for chart in _curves(found) if chart],
        retention=[chart for chart in (retention_chart(found), *interpolation_charts(found)) if chart],
        frequencies=_frequencies(found),
        gain_charts=[chart for chart in _gain_charts(gains) if chart],
        gains=gains,
        changed={"learnt": len(learnt), "lost": len(lost)},
        examples=groups,
        missing=missing,
    )
    uri = page_uri(to)
    write_page(html, uri)
    return uri


def _examples(run: TrainingRun, changed: dict[str, list[Change]], count: int) -> tuple[dict, str]:
    """The regions to show, by kind of change, and why there are none."""
    try:
        return {name: draw_examples(run, found[:count]) for name, found in changed.items()}, ""
    except (UserError, OSError) as error:
        return dict.fromkeys(changed, ()), f"The regions cannot be shown: {error}"


def _curves(run: TrainingRun) -> list[Chart | None]:
    logged = [row for row in run.metrics if row["loss"] is not None]

    def by_stage(value: Callable[[dict], float]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        stages = list(run.result["steps"])
        return {
            stage: _points([(row["total"], value(row)) for row in logged if row["stage"] == stage]) for stage in stages
        }

    # One validation before training, then one an epoch.
    accuracy = {
        "nearest": _points([(epoch, 100 * found.top1) for epoch, found in enumerate(run.validations)]),
        "among the five nearest": _points([(epoch, 100 * found.top5) for epoch, found in enumerate(run.validations)]),
    }
    note = "Held-out regions by the rank of their own noun among all nouns; 0 is before training."
    return [
        lines("accuracy", "Accuracy", accuracy, axes=("epochs", "regions, %"), note=note),
        lines("loss", "Loss", by_stage(lambda row: row["loss"]), axes=("steps", "loss")),
        lines(
            "learning-rate",
            "Learning rate",
            by_stage(lambda row: row["learning_rate"]),
            axes=("steps", "learning rate"),
            note="Warm-up, then a cosine to 0, in each phase.",
        ),
        lines(
            "speed",
            "Speed",
            by_stage(lambda row: row["regions_per_second"]),
            axes=("steps", "regions per second"),
            note=f"Over all workers; {_waiting(logged)} of the time went into waiting for data.",
            from_zero=True,
        ),
        lines(
            "scale", "Temperature", by_stage(lambda row: row["logit_scale"]), axes=("steps", "factor on similarities")
        ),
    ]


def _frequencies(run: TrainingRun) -> Chart | None:
    """The nouns by frequency, before and after `data.balance`; None for a run without it."""
    balance = (run.result.get("selection") or {}).get("balance")
    if not balance:
        return None
    ranks = np.array(balance["ranks"], np.float64)
    return lines(
        "frequencies",
        "Pairs of a noun, by its rank",
        {name: (ranks, np.array(balance[name], np.float64)) for name in ("before", "after")},
        axes=("rank of the noun by frequency", "training pairs"),
        note=f"Balanced to {balance['threshold']:,} pairs a noun: {balance['pairs_after']:,} of "
        f"{balance['pairs_before']:,} pairs are left. The {balance['tail_nouns']:,} nouns of the tail lose none; they "
        f"were {balance['tail_share_before']:.1%} of the pairs and are {balance['tail_share_after']:.1%}.",
        from_zero=True,
        log=True,
    )


def _points(rows: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    columns = np.array(rows, np.float64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _waiting(logged: Sequence[dict]) -> str:
    return f"{100 * float(np.mean([row['waiting_share'] for row in logged])):.1f} %"


def _gain_charts(gains: Sequence[NounGain]) -> list[Chart | None]:
    """Nouns by how many more, or fewer, of their regions are named rightly."""
    won = [row for row in gains if row.after > row.before][:_BARS]
    lost = [row for row in reversed(gains) if row.after < row.before][:_BARS]
    note = "Held-out regions that are named rightly after training, minus those before."
    return [
        bars(
            name,
            title,
            [row.noun for row in rows],
            [row.after - row.before for row in rows],
            note=note,
            headers=("noun", "regions"),
        )
        for name, title, rows in (("won", "Nouns that gained most", won), ("lost", "Nouns that lost most", lost))
    ]


def _settings(run: TrainingRun) -> list[tuple[str, str]]:
    configuration, result = run.description["configuration"], run.result
    model, data = configuration["model"], configuration["data"]
    rows = [
        ("Run", run.uri),
        ("Dataset", result["dataset"]),
        ("CLIP", ", ".join(filter(None, (model["architecture"], model["weights"])))),
        ("Mode", configuration["mode"]),
        ("Loss", configuration["loss"]["kind"]),
        ("Batch size", f"{configuration['batch_size']:,}"),
        ("Fill of regions", data["fill"]),
        ("Condition on pairs", data["where"] or "none"),
        ("Skipped shards", f"{len(result['skipped_shards'])}"),
    ]
    rows += [
        (
            f"Leakage {name}",
            f"{leak['copies']:,} of {leak['images']:,} images of {leak['against']} have copies among the mined images; "
            f"{leak['training_pairs']:,} training pairs are cut from these",
        )
        for name, leak in result.get("leakage", {}).items()
    ]
    for name, steps in result["steps"].items():
        stage = configuration[name]
        rows.append(
            (f"Phase {name}", f"{stage['epochs']} epochs, {steps:,} steps, learning rate {stage['learning_rate']:g}")
        )
    return rows

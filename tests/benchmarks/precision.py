"""How right the intervals of precision are, how narrow clicks make them, and what a model from clicks finds.

    python -m tests.benchmarks.precision --dataset MINED --annotations COCO [--opinion TABLE] [--made-opinion 0.85]

MINED is a mined dataset, COCO are annotations of its images. The pairs that these can judge are the population, so the
truth is known. From it, as on the labelling page, samples of 50, 100, 200 and 500 pairs are drawn and labelled by the
truth, 500 times each; each time the precision of all pairs and of the third with the highest scores is estimated from
labels alone and with predictions of the model that these labels give. An opinion narrows further: a table of one, or a
made one that agrees with the truth as often as said.
"""

import argparse
import dataclasses
import time
from collections import defaultdict

import numpy as np
import pyarrow as pa

from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.quality.answers import Answers
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.drawing import DrawingColumns, draw_sample
from pipeline.quality.estimates import estimate
from pipeline.quality.fitting import fit
from pipeline.quality.opinions import Opinion, read_opinions
from pipeline.quality.sources import read_source

_CLICKS = (50, 100, 200, 500)
_BEST = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--annotations", required=True)
    parser.add_argument("--opinion", action="append", default=[])
    parser.add_argument("--made-opinion", type=float, help="share of the pairs of which it is right, such as 0.85")
    parser.add_argument("--resamplings", type=int, default=500)
    parser.add_argument("--clicks", type=int, nargs="*", default=_CLICKS)
    options = parser.parse_args()
    dataset = open_mined_dataset(options.dataset)
    every = read_columns(dataset)
    judged = read_source(dataset, None, options.annotations).answers
    pairs, truth = only(every, judged.row), judged.right
    opinions = [
        dataclasses.replace(found, score=found.score[judged.row])
        for found in read_opinions(options.opinion, every, dataset)
    ]
    if options.made_opinion:
        agrees = np.random.default_rng(0).random(len(truth)) < options.made_opinion
        opinions.append(Opinion("made", (truth == agrees).astype(np.float32), ""))
    print(f"{len(truth)} judged pairs of {len(every)}, {truth.mean():.1%} right")
    for key, values in {"score": pairs.score, "noun's mean": pairs.noun_score[pairs.noun]}.items():
        print(f"best {_BEST:.0%} by {key}: {best(values, truth):.1%} right")
    print(f"{'clicks':>6} {'figure':<28} {'covered':>8} {'half-width':>10} {'bias':>7}")
    for clicks in options.clicks:
        if clicks < len(truth):
            resample(pairs, truth, {"": [], " and opinion": opinions}, clicks, options.resamplings)


def only(pairs: PairColumns, rows: np.ndarray) -> PairColumns:
    """The columns of some pairs, as if these were the dataset."""
    arrays = ("noun", "image", "score", "noun_margin", "mask_margin", "area", "proposal_index", "proposal_score")
    return dataclasses.replace(
        pairs,
        starts=np.array([0, len(rows)]),
        keys=pairs.keys.take(pa.array(rows)),
        **{name: getattr(pairs, name)[rows] for name in arrays},
    )


def best(values: np.ndarray, truth: np.ndarray) -> float:
    """Share of right pairs among the best by a key."""
    return float(truth[np.argsort(-values, kind="stable")[: int(_BEST * len(values))]].mean())


def resample(
    pairs: PairColumns, truth: np.ndarray, opinions: dict[str, list[Opinion]], clicks: int, times: int
) -> None:
    found = defaultdict(list)
    high = pairs.score >= np.quantile(pairs.score, 2 / 3)
    domains = {"all": np.ones(len(truth), bool), "high scores": high}
    started, refused = time.perf_counter(), 0
    for seed in range(times):
        sample = draw_sample(DrawingColumns(pairs.score, pairs.noun, pairs.noun_margin), clicks, seed)
        sizes = np.array([part.pairs for part in sample.strata], np.float64)
        clear = np.ones(clicks, bool)
        answers = Answers(sample.rows, truth[sample.rows], clear, sample.stratum.astype(np.int64), sizes, True)
        fits = {"labels": None}
        for name, columns in opinions.items():
            try:
                fits |= {f"model{name}": fit(pairs, columns, answers)} if columns or not name else {}
            except UserError:
                refused += 1
        for method, fitted in fits.items():
            if fitted is not None:
                found[f"best {_BEST:.0%} by {method}", "share"].append(best(fitted.p_right, truth))
            for domain, inside in domains.items():
                predicted = None if fitted is None else fitted.predicted(inside)
                given = estimate(answers, inside[answers.row], int(inside.sum()), predicted)
                found[domain, method].append((given.low, given.high, given.value, truth[inside].mean()))
    for (name, method), values in found.items():
        if method == "share":
            print(f"{clicks:>6} {name:<28} {np.mean(values):.1%} right")
            continue
        low, high_end, value, true = np.array(values).T
        covered = np.mean((low <= true) & (true <= high_end))
        width, bias = np.mean(high_end - low) / 2, np.mean(value - true)
        print(f"{clicks:>6} {f'{name}, {method}':<28} {covered:>8.1%} {100 * width:>8.1f} % {100 * bias:>+6.2f}")
    seconds = (time.perf_counter() - started) / times
    print(f"{clicks:>6} {seconds:.2f} s a resampling; {refused} models refused", flush=True)


if __name__ == "__main__":
    main()

"""Status, counts, nouns, scores and reject reasons of an output directory."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, read_manifest, read_whole_manifest
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.dataset.statistics import read_statistics
from pipeline.dataset.verified import Verified, read_verified
from pipeline.errors import UserError
from pipeline.escaping.terminal import escape, printable
from pipeline.inspection.lineage import described, lineage
from pipeline.inspection.shares import TimeShares, advice, shares_table, time_shares
from pipeline.inspection.trouble import FailedShard, SlowShard, read_failures, slow_shards, trouble_tables
from pipeline.nouns import select_vocabulary
from pipeline.storage.in_threads import in_threads

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DETAIL = 160
"""Characters of a detail that are shown."""
_STAGES = ("images", "proposals", "matching", "verification", "writing")


@dataclass
class Status:
    """What the files of an output directory say."""

    output: str
    complete: bool
    shards: int
    committed: int
    images: int
    counts: Counter = field(default_factory=Counter)
    """images, images_with_pairs, pairs of the committed shards."""
    nouns: Counter = field(default_factory=Counter)
    phrases: Counter = field(default_factory=Counter)
    """Of pairs that have one."""
    rejected: Counter = field(default_factory=Counter)
    """Images by stage and reason."""
    rejected_nouns: Counter = field(default_factory=Counter)
    """Nouns that proposals were asked for, and that gave no pair, by stage and reason."""
    details: dict[str, str] = field(default_factory=dict)
    """Of a stage and reason, what was found in the first image where more than the reason is known."""
    scores: dict[str, list[float]] = field(default_factory=dict)
    """Per column of the manifests the quantiles 5, 25, 50, 75 and 95 %."""
    seconds: Counter = field(default_factory=Counter)
    """Worker seconds per stage, summed over the shards."""
    shares: dict[str, TimeShares] = field(default_factory=dict)
    """What the workers of each stage spent their time on, if their statistics say it."""
    failed: list[FailedShard] = field(default_factory=list)
    """Shards that failed and have not been committed since."""
    verified: Counter = field(default_factory=Counter)
    """By verifier the committed shards whose candidates it has an opinion on."""
    unseen: Counter = field(default_factory=Counter)
    """Candidates that verifiers could not look at, by reason."""
    stale: int = 0
    """Tables of second opinions that cannot be used: damaged, or of another manifest."""
    slow: list[SlowShard] = field(default_factory=list)
    """Committed shards that took far longer than the others, slowest first."""


def read_status(output: str) -> Status:
    """Read the status of an output directory from storage.

    Raises:
        UserError: there is no dataset.
    """
    dataset = open_mined_dataset(output)
    layout, committed = dataset.layout, dataset.shards
    status = Status(
        output=output,
        complete=dataset.complete,
        shards=dataset.description["source"]["shards"],
        committed=len(committed),
        images=dataset.description["source"]["images"],
    )
    status.failed = read_failures(layout, set(committed))
    statistics: dict[int, dict] = {}
    scores: dict[str, list[np.ndarray]] = {"clip_score": [], "noun_margin": [], "mask_margin": []}
    for manifest, rejects, nouns, found in in_threads(lambda shard: _read_shard(layout, shard), committed):
        status.counts.update(manifest.counts)
        status.nouns.update(manifest.table["noun"].to_pylist())
        status.phrases.update(manifest.table["phrase"].drop_null().to_pylist())
        for reason, detail in rejects:
            status.rejected[reason] += 1
            if detail:
                status.details.setdefault(reason, detail)
        status.rejected_nouns.update(nouns)
        status.seconds.update(found["seconds"])
        statistics[manifest.shard] = found
        for column, values in scores.items():
            values.append(manifest.table[column].drop_null().to_numpy())
    for column, values in scores.items():
        together = np.concatenate(values) if values else np.zeros(0)
        if len(together):
            status.scores[column] = np.quantile(together, _QUANTILES).tolist()
    status.shares = time_shares(statistics.values())
    _read_opinions(dataset, status)
    status.slow = slow_shards({shard: found["seconds"] for shard, found in statistics.items()})
    return status


def _read_shard(layout: Layout, shard: int) -> tuple[Manifest, list[tuple[str, str]], list[str], dict]:
    """Its manifest, reason and detail of every rejected image, reason of every rejected noun, its statistics."""
    manifest = read_manifest(layout, shard, ["noun", "clip_score", "noun_margin", "mask_margin"], ["phrase"])
    rows = read_checked_table(
        layout.table("rejects", shard), ["caption_index", "stage", "reason", "detail"]
    ).to_pylist()
    rejects = [(f"{row['stage']}: {row['reason']}", row["detail"]) for row in rows if row["caption_index"] is None]
    nouns = [f"{row['stage']}: {row['reason']}" for row in rows if row.get("noun") is not None]
    return manifest, rejects, nouns, read_statistics(layout, shard)


def _read_opinions(dataset: MinedDataset, status: Status) -> None:
    """What the tables of second opinions hold, if there are some."""
    layout = dataset.layout
    shards = sorted(layout.present("verified") & set(dataset.shards))

    def read(shard: int) -> Verified | None:
        try:
            return read_verified(layout, read_whole_manifest(layout, shard, ["key"]))
        except UserError:  # `--verify` says what is wrong with it
            return None

    for found in in_threads(read, shards):
        if found is None:
            status.stale += 1
        else:
            status.verified.update(list(found.verifiers))
            status.unseen.update(found.table["problem"].drop_null().to_pylist())


def _print_opinions(status: Status, summary: Table) -> None:
    for name, shards in sorted(status.verified.items()):
        left = "" if shards == status.committed else "; python -m jobs.mine --verify-only verifies the others"
        summary.add_row(f"verified by {escape(name)}", f"{shards} of {status.committed} shards{left}")
    for reason, candidates in status.unseen.most_common():
        summary.add_row(f"not verified: {escape(reason)}", f"{candidates} candidates")
    if status.stale:
        summary.add_row("second opinions of no use", f"{status.stale} shards: damaged, or mined again since")


def print_status(output: str) -> None:
    """Print the status of an output directory."""
    status, console = read_status(output), Console()
    pairs, images = status.counts["pairs"], status.counts["images"]
    state = "complete" if status.complete else "not complete: run the same mining command to carry on"
    console.print(f"[bold]{escape(output)}[/]  {state}", soft_wrap=True)

    summary = Table("", "", show_header=False)
    summary.add_row("shards committed", f"{status.committed} of {status.shards}")
    summary.add_row("images in them", f"{images} of {status.images}")
    summary.add_row("images with pairs", str(status.counts["images_with_pairs"]))
    summary.add_row("images rejected", str(status.rejected.total()))
    for reason, count in sorted(status.rejected_nouns.items()):
        summary.add_row(escape(f"nouns without a pair, {reason}"), str(count))
    summary.add_row("pairs", f"{pairs}" + (f" ({pairs / images:.2f} an image)" if images else ""))
    summary.add_row("different nouns", str(len(status.nouns)))
    if status.phrases:
        summary.add_row("different phrases", str(len(status.phrases)))
    _print_opinions(status, summary)
    for stage in _STAGES:
        if status.seconds[stage]:
            per_image = status.seconds[stage] / max(images, 1)
            summary.add_row(
                f"{stage}: worker seconds",
                f"{status.seconds[stage]:.1f} ({per_image:.3f} an image)",
            )
    console.print(summary)
    if status.shares:
        console.print(shares_table(status.shares))
        if line := advice(status.shares):
            console.print(line, soft_wrap=True)

    if status.scores:
        quantiles = Table("quantile", *(f"{quantile:.0%}" for quantile in _QUANTILES))
        for column, values in status.scores.items():
            quantiles.add_row(column, *(f"{value:.4f}" for value in values))
        console.print(quantiles)
    if status.nouns:
        top = ", ".join(f"{noun} {status.nouns[noun]}" for noun in select_vocabulary(status.nouns)[:20])
        console.print(f"top nouns: {escape(top)}")
    if status.phrases:
        top = ", ".join(f"{phrase} {status.phrases[phrase]}" for phrase in select_vocabulary(status.phrases)[:20])
        console.print(f"top phrases: {escape(top)}")
    if status.rejected:
        reasons = Table("rejected images", "", "such as")
        for reason, count in status.rejected.most_common():
            reasons.add_row(escape(reason), str(count), escape(_printable(status.details.get(reason, ""))))
        console.print(reasons)
    for table in trouble_tables(status.failed, status.slow):
        console.print(table)
    print_lineage(output)


def print_lineage(output: str) -> None:
    """Print what a dataset or a training run was made from.

    Raises:
        UserError: there is no output of a job.
    """
    print("lineage:")
    for line in described(lineage(output)):
        print(printable(f"  {line}"))


def _printable(detail: str) -> str:
    """Of a detail, which may quote what stands in a file, what a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in detail[:_DETAIL])

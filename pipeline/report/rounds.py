"""The rounds of a chain as cells of a table, for pages and terminals."""

from typing import Any

COLUMNS = (
    "round", "pairs", "nouns", "precision", "agreement", "nouns kept", "retention", "accuracy", "mIoU", "decision",
)  # fmt: skip


def round_cells(row: dict, result: dict) -> list[str]:
    """A round as texts, one for each of `COLUMNS`; "–" for what is not known.

    Args:
        row: one of `rounds` of `rounds.json`.
        result: the whole of it.
    """
    before, after = result["original"]["retention"], row["retention"]
    retention = _percent(after)
    if before is not None and after is not None:
        retention += f" ({100 * (after - before):+.1f})"
    return [
        str(row["number"]),
        f"{row['pairs']:,}",
        f"{row['nouns']:,}",
        _precision(row["labelled"]),
        _percent(row["agreement"]),
        _percent(row["surviving_nouns"]),
        retention,
        _percent(row["accuracy"]),
        _percent(row["miou"]),
        _decision(row, result),
    ]


def _precision(labelled: dict | None) -> str:
    if not labelled or not labelled["precision"]:
        return "–"
    least, most = labelled["precision"]
    return _percent(least) if least == most else f"{100 * least:.1f}–{100 * most:.1f} %"


def _decision(row: dict, result: dict) -> str:
    decision = row["decision"]
    parts = ["best" if row["number"] == result["best"] else "", *decision["reasons"]]
    if decision["stops"]:
        parts.append("stop")
    return "; ".join(filter(None, parts)) or "–"


def _percent(share: Any) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"

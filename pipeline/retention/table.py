"""What was measured on whole images, for the terminal."""

from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.retention.measuring import COUNTS

_TITLES = {
    "top1": "top 1",
    "top5": "top 5",
    "mean_per_class": "top 1, mean over classes",
    **{f"image_recall_at_{k}": f"image, recall at {k}" for k in (1, 5, 10)},
    **{f"text_recall_at_{k}": f"text, recall at {k}" for k in (1, 5, 10)},
}


def score_title(name: str) -> str:
    """A score in words: `image_recall_at_5` is the share of captions whose image is among five."""
    return _TITLES.get(name, name)


def result_table(result: dict) -> Table:
    """The scores of one set.

    Args:
        result: the content of `result.json`.
    """
    title = f"{result['dataset']['name']}: {result['images']} images"
    said = ", ".join(f"{reason} ({count})" for reason, count in result["rejected"].items())
    table = Table(title=escape(title), caption=f"Per cent. Not counted: {said or 'none'}.", caption_justify="left")
    for name in result["scores"]:
        table.add_column(score_title(name), justify="right")
    table.add_row(*("–" if value is None else f"{100 * value:.2f}" for value in result["scores"].values()))
    return table


def kept_table(moments: list[dict]) -> Table:
    """What a training run kept: the scores of each set before training and after every epoch, and how far they moved.

    Args:
        moments: `retention` of the `result.json` of a training run.
    """
    table = Table(
        "after", "epoch", "images", "scores", title="whole images", caption="Per cent, and points since before."
    )
    first = moments[0]["sets"]
    for moment in moments:
        for name, scores in moment["sets"].items():
            figures = []
            for measured, value in scores.items():
                if measured not in COUNTS:
                    moved = f" ({100 * (value - first[name][measured]):+.2f})" if moment is not moments[0] else ""
                    figures.append(f"{score_title(measured)} {100 * value:.2f}{moved}")
            table.add_row(moment["after"], f"{moment['epoch']:g}", escape(name), ", ".join(figures))
        table.add_section()
    return table

"""What a demo prints of the world with attributes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rich.table import Table

from pipeline.demo.attributes import SHARES, AttributesSeed, run_attributes
from pipeline.demo.report import spread
from pipeline.demo.runs import DemoRuns

_NOTE = "Per cent, mean ± standard deviation over seeds."


def attribute_tables(seeds: Sequence[DemoRuns], say: Callable[[str], None]) -> list[Table]:
    """Run what is left of the ablation, keep its figures as `attributes.json`, and return its tables.

    Args:
        seeds: the worlds with attributes.
        say: called with what begins.
    """
    found = [run_attributes(runs, say) for runs in seeds]
    content = json.dumps([asdict(one) for one in found], indent=1)
    (seeds[0].folder.parent.parent / "attributes.json").write_text(content)
    return [_accuracy(found), _opinions(found)]


def _accuracy(found: Sequence[AttributesSeed]) -> Table:
    table = Table("CLIP", title="a world with attributes: masked true regions", caption=_NOTE, caption_justify="left")
    for name in ("noun, all", "things", "grounds", "attributes, of ten phrases"):
        table.add_column(name, justify="right")
    for title in found[0].clips:
        measured = [seed.clips[title] for seed in found]
        nouns = [[one.accuracy[kind] for one in measured] for kind in ("all", "things", "grounds")]
        table.add_row(title, *map(spread, nouns), spread([one.attributes for one in measured]))
    return table


def _opinions(found: Sequence[AttributesSeed]) -> Table:
    asked = [seed.asked for seed in found]
    caption = (
        f"{_NOTE} Where nouns are asked for by name, and the truth answers, {spread([one.invisible for one in asked])} "
        f"of those that show nothing are rejected, and {spread([one.visible for one in asked])} of the others."
    )
    table = Table(
        "best pairs by", title="how many of the best mined phrases are right", caption=caption, caption_justify="left"
    )
    for share in SHARES:
        table.add_column(f"best {share:.0%}", justify="right")
    for key in found[0].opinions.right:
        rights = [seed.opinions.right[key] for seed in found]
        table.add_row(key, *(spread([right[index] for right in rights]) for index in range(len(SHARES))))
    return table

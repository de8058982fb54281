"""A made dataset that was mined with all options, whose texts are hostile."""

from pathlib import Path

from tests.report.made_dataset import make_dataset
from tests.second_opinions import write_random_opinions

HOSTILE = ["</script><script>alert(5)</script>", '"><img src=x onerror=alert(6)>', "{{ 7 * 7 }}\u2028כלב"]
ATTRIBUTES = ["red", "dark red", HOSTILE[0]]
BACKENDS = ["maskformer", "sam3", HOSTILE[1]]
VERIFIERS = ("so400m", "<img src=x onerror=alert(7)>")
SHARDS = 3


def make_dataset_with_options(folder: Path) -> dict[str, dict[str, list]]:
    """Three shards with 40 pairs each; the second verifier has not seen the last shard.

    Returns: by verifier and key what it says: score and mask_rank.
    """
    nouns = ["dog", "hot dog", "bus", "sky", HOSTILE[2]]
    make_dataset(folder, nouns, shards=SHARDS, images_per_shard=11, not_found=["hope", HOSTILE[0]], options=_options)
    said: dict[str, dict[str, list]] = {name: {} for name in VERIFIERS}
    for number, name in enumerate(VERIFIERS):
        for shard in range(SHARDS - number):
            said[name] |= write_random_opinions(folder, shard, 10 * number + shard, **{name: {"sha256": "1"}})
    return said


def _options(row: dict) -> dict:
    """Columns that differ from pair to pair; no phrase, and no negatives, for some."""
    number = int(row["key"].replace("-", "")) % 12 + row["mask_area"] % 7
    columns: dict = {"negatives": [f"blue {row['noun']}", HOSTILE[0]] if number % 2 else []}
    columns |= {"phrase": f"a {row['noun']}", "phrase_start": row["char_start"] - 2, "phrase_end": row["char_end"]}
    columns |= {"attributes": [ATTRIBUTES[number % 3]] if number % 4 else []}
    columns |= {"backend": BACKENDS[number % 3]}
    if number % 3:
        columns |= {"prompted_by": row["noun"], "prompt_score": number / 40}
    return columns

"""What the differences between two datasets come to."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipeline.differences.loading import Loaded
from pipeline.differences.workspace import Workspace


@dataclass(frozen=True)
class SideCounts:
    """What one of the two datasets holds, of its committed shards."""

    uri: str
    complete: bool
    shards: int
    images: int
    """Of its source."""
    images_with_pairs: int
    pairs: int
    nouns: int
    """That have a pair."""
    missing: tuple[str, ...] = ()
    """Kinds of tables that are not there, so that reasons cannot be looked up in them."""


@dataclass(frozen=True)
class Differences:
    """How many pairs of two datasets are the same, and how many differ in which way, and why."""

    a: SideCounts
    b: SideCounts
    comparable: bool
    """Whether the scores of both are of one CLIP: shifts are then differences of scores, else of ranks."""
    settings: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Configuration keys that differ, with both values."""
    categories: Counter[str] = field(default_factory=Counter)
    """Pairs by category: added, lost, moved, shifted, same."""
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pairs by category and reason; see `pipeline.differences.reasons.REASONS`."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of pairs whose image was rejected in the other dataset: by category, and `stage: reason`."""
    images_shared: int = 0
    """Images that both sources have, by their ids."""
    images_changed: int = 0
    """Images with pairs in both whose files have another content."""
    images_resized: int = 0
    """Images with pairs in both that were mined at another size: their masks are scaled before they are compared."""
    nouns_shared: int = 0
    """Nouns that have a pair in both."""
    remarks: list[str] = field(default_factory=list)
    """What could not be compared."""

    @property
    def shared(self) -> int:
        """Pairs (image, noun) of both datasets."""
        return sum(self.categories[name] for name in ("same", "shifted", "moved"))

    @property
    def agreeing(self) -> int:
        """Those whose regions overlap by `min_iou` or more."""
        return self.categories["same"] + self.categories["shifted"]

    @property
    def agreement(self) -> float | None:
        """Share of the pairs of both datasets whose regions agree, 0..1; None if there is no such pair."""
        return self.agreeing / self.shared if self.shared else None

    @property
    def nouns_survived(self) -> float | None:
        """Share of A's nouns that have a pair in B, too, 0..1; None if A has none."""
        return self.nouns_shared / self.a.nouns if self.a.nouns else None

    @property
    def differing(self) -> int:
        """Pairs that are not the same."""
        return self.categories.total() - self.categories["same"]


def count(
    workspace: Workspace, a: Loaded, b: Loaded, settings: list[tuple[str, Any, Any]], *, comparable: bool
) -> Differences:
    """Count what `compared` and `explained` hold."""
    reasons = {
        (category, reason): number
        for category, reason, number in workspace.run(
            "SELECT category, reason, count(*) FROM compared JOIN explained USING (image_id, noun, entry) GROUP BY ALL"
        )
    }
    rejected = {
        (category, detail): number
        for category, detail, number in workspace.run(
            "SELECT category, detail, count(*) FROM compared JOIN explained USING (image_id, noun, entry) "
            "WHERE reason = 'image_rejected' GROUP BY ALL"
        )
    }
    [[images_shared]] = workspace.run("SELECT count(*) FROM images_a JOIN images_b USING (image_id)")
    [[changed, resized]] = workspace.run(
        "SELECT count(DISTINCT image_id) FILTER (image_changed), count(DISTINCT image_id) FILTER (NOT same_frame) "
        "FROM compared"
    )
    [[nouns_shared]] = workspace.run(
        "SELECT count(*) FROM (SELECT noun FROM pairs_a INTERSECT SELECT noun FROM pairs_b)"
    )
    return Differences(
        _side(workspace, "a", a),
        _side(workspace, "b", b),
        comparable,
        settings,
        Counter(dict(workspace.run("SELECT category, count(*) FROM compared GROUP BY ALL"))),
        Counter(reasons),
        Counter(rejected),
        images_shared,
        changed,
        resized,
        nouns_shared,
        list(dict.fromkeys(_remarks(a, b))),
    )


def _side(workspace: Workspace, side: str, loaded: Loaded) -> SideCounts:
    [[images, nouns]] = workspace.run(f"SELECT count(DISTINCT image_id), count(DISTINCT noun) FROM pairs_{side}")
    return SideCounts(
        loaded.dataset.layout.uri,
        loaded.dataset.complete,
        len(loaded.dataset.shards),
        loaded.images,
        images,
        loaded.pairs,
        nouns,
        tuple(sorted(loaded.missing)),
    )


def _remarks(a: Loaded, b: Loaded) -> list[str]:
    remarks = []
    for loaded in (a, b):
        uri = loaded.dataset.layout.uri
        if not loaded.dataset.complete:
            shards = loaded.dataset.description["source"]["shards"]
            remarks.append(
                f"{uri} is not complete: {len(loaded.dataset.shards)} of {shards} shards are committed and compared"
            )
        if loaded.missing:
            remarks.append(
                f"{uri} has not all tables of {', '.join(sorted(loaded.missing))}: reasons that they would tell are "
                "missing"
            )
        if loaded.optional:
            remarks.append(
                f"{uri} does not tell {', '.join(sorted(loaded.optional))} of all images (an older version of this "
                "program mined it): whether files have changed is not known"
            )
    return remarks

"""How much of a dataset is trained on, in numbers."""

from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.training.balance import Balance

_ONLY_WHERE_SOME = ("repeated", "duplicates", "duplicate_images", "balance")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the configuration of `data` leaves of a dataset."""

    pairs: int = 0
    """Pairs of the shards that can be read."""
    fulfilling: int = 0
    """Those that fulfil `data.where`."""
    repeated: int = 0
    """Those of them that are left out: with `data.text: noun`, other phrases of a noun that have the same region."""
    duplicates: int = 0
    """Those of the others that are of images which `data.deduplicate` leaves out."""
    duplicate_images: int = 0
    """These images."""
    not_held_out: int
    """Those in whole shards, of images of the fold that are not held out."""
    training_pairs: int
    """Those whose weight is not 0: what is trained on."""
    training_nouns: int
    training_images: int
    held_out_pairs: int
    held_out_images: int
    least_weight: float
    """Weights are relative to their mean; 1 where all pairs count the same."""
    greatest_weight: float
    effective_pairs: float
    """Kish's effective sample size (Σw)² / Σw²: so many equal pairs would carry as much."""
    balance: Balance | None = None
    """What `data.balance` changes; None: nothing is configured."""

    @classmethod
    def of(cls, pairs: pa.Table, *, in_fold: int, weights: np.ndarray, balance: Balance | None = None) -> Self:
        """The numbers of the pairs that are used.

        Args:
            pairs: with `noun`, `image_id` and `held_out` bool.
            in_fold: training pairs before `data.balance` and a weight of 0 left some out.
            weights: of the training pairs, above 0.
        """
        training, held_out = (pairs.filter(held) for held in (pc.invert(pairs["held_out"]), pairs["held_out"]))
        return cls(
            not_held_out=in_fold,
            training_pairs=len(training),
            training_nouns=pc.count_distinct(training["noun"]).as_py(),
            training_images=pc.count_distinct(training["image_id"]).as_py(),
            held_out_pairs=len(held_out),
            held_out_images=pc.count_distinct(held_out["image_id"]).as_py(),
            least_weight=float(weights.min(initial=np.inf)) if len(weights) else 1.0,
            greatest_weight=float(weights.max(initial=0)) if len(weights) else 1.0,
            effective_pairs=float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0,
            balance=balance,
        )

    def described(self) -> dict:
        """As `result.json` has them; what only some configurations leave out only where they do."""
        return {name: value for name, value in asdict(self).items() if name not in _ONLY_WHERE_SOME or value}

    def __str__(self) -> str:
        """One line for the terminal."""
        parts = [f"training on {self.training_pairs} of {self.pairs} pairs"]
        if self.fulfilling < self.pairs:
            parts.append(f"{self.fulfilling} fulfil data.where")
        if self.repeated:
            parts.append(f"{self.repeated} repeat a region and its noun")
        if self.duplicates:
            parts.append(f"{self.duplicates} are of {self.duplicate_images} images that others are near-duplicates of")
        if self.balance:
            parts.append(str(self.balance))
        in_fold = self.balance.pairs_after if self.balance else self.not_held_out
        if weightless := in_fold - self.training_pairs:
            parts.append(f"{weightless} of weight 0 are left out")
        parts.append(f"{self.training_nouns} nouns, {self.training_images} images")
        if self.least_weight != self.greatest_weight:
            parts.append(
                f"weights {self.least_weight:.3g} to {self.greatest_weight:.3g} times their mean, worth "
                f"{self.effective_pairs:.0f} equal pairs"
            )
        parts.append(f"held out: {self.held_out_pairs} pairs of {self.held_out_images} images")
        return "; ".join(parts)

"""A bank beside CLIP: region embeddings and CLIP's logits → logits of both, and the entries that they rest on.

Shape suffixes: V regions, C classes and then background names, N names, D embedding width, K neighbours.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.bank.classes import assign_nouns
from pipeline.bank.config import BankConfig
from pipeline.bank.description import BankDescription
from pipeline.bank.fusion import fused_logits, votes
from pipeline.bank.reading import KEY, Bank
from pipeline.bank.search import ExactSearch, Neighbours
from pipeline.clip.model import Clip
from pipeline.errors import UserError
from pipeline.regions.config import RegionsConfig


class BankClassifier:
    """Asks the same bank for one list of classes after the other; loaded once per worker."""

    def __init__(self, bank: Bank, config: BankConfig):
        self.bank = bank
        self.config = config
        self._search = ExactSearch(bank, config.precision, config.memory_gb)

    def for_classes(
        self, classes: Sequence[tuple[str, ...]], name_embeddings_ND: np.ndarray, temperature: float
    ) -> "ClassBank":
        """The bank for these classes. Arguments as of `assign_nouns`.

        Raises:
            UserError: the bank's embeddings have another width than those of the names.
        """
        width = self.bank.description.width
        if name_embeddings_ND.shape[1] != width:
            raise UserError(
                f"{KEY}: the embeddings of {self.bank.uri} have {width} numbers, those of clip.… "
                f"{name_embeddings_ND.shape[1]}; export a bank for this CLIP"
            )
        assigned_MC = assign_nouns(
            self.bank.nouns,
            self.bank.noun_embeddings,
            classes,
            name_embeddings_ND,
            temperature,
            self.config.noun_similarity,
        )
        return ClassBank(self, assigned_MC)

    def nearest(self, features_VD: np.ndarray, image: Sequence[str | None] = ()) -> Neighbours:
        """The neighbours of the regions of one image.

        Args:
            image: what identifies it, SHA-256 of its file and URI; its own entries are left out if the configuration
                says so.
        """
        excluded = self.bank.rows_of_image(*image) if self.config.same_image == "exclude" else None
        return self._search.nearest(features_VD, self.config.neighbours, excluded)


class ClassBank:
    """A bank whose nouns vote for the classes of one list."""

    def __init__(self, classifier: BankClassifier, assigned_MC: np.ndarray):
        self._classifier = classifier
        self._assigned_MC = assigned_MC
        self._known_C: np.ndarray = np.asarray(assigned_MC.any(axis=0))

    def fuse(
        self, features_VD: np.ndarray, region_logits_VC: np.ndarray, image: Sequence[str | None] = ()
    ) -> tuple[np.ndarray, Neighbours]:
        """Logits of CLIP and bank together, float32 [V,C], and the neighbours that voted, or were too far to.

        Args:
            features_VD: float32, of unit length.
            image: see `BankClassifier.nearest`.
        """
        found = self._classifier.nearest(features_VD, image)
        bank, config = self._classifier.bank, self._classifier.config
        assigned_VKC = self._assigned_MC[bank.noun_of_row[np.maximum(found.rows, 0)]]
        votes_VC = votes(found, assigned_VKC, config)
        return fused_logits(region_logits_VC, votes_VC, self._known_C, config.weight), found


def check_bank(description: BankDescription, clip: Clip, regions: RegionsConfig) -> None:
    """Check that a bank holds what this CLIP sees in regions that are shown to it in this way.

    Raises:
        UserError: it is of another CLIP or input, or of regions that are cut in another way.
    """
    of = description.clip
    again = "; export a bank for this CLIP with --clip.architecture and --clip.weights, or leave segmentation.bank out"
    for what, stored, now in (
        ("vision tower", of.vision_sha256, clip.vision_weights_sha256()),
        ("text tower", of.text_sha256, clip.text_weights_sha256()),
    ):
        if stored != now:
            raise UserError(
                f"{KEY}: the bank is of another CLIP, {of.architecture} {of.weights or ''}: the SHA-256 of its {what} "
                f"is {stored[:12]}…, that of clip.… {now[:12]}…{again}"
            )
    pixels = (of.size, tuple(of.mean), tuple(of.std))
    if pixels != (clip.input.size, tuple(clip.input.mean), tuple(clip.input.std)):
        raise UserError(f"{KEY}: its CLIP took inputs of size, mean and std {pixels}, and clip.… takes {clip.input}")
    differing = [
        f"regions.{name} is {getattr(regions, name)!r} here and {getattr(description.regions, name)!r} in the bank"
        for name in ("fill", "expand")
        if getattr(regions, name) != getattr(description.regions, name)
    ]
    if differing:
        raise UserError(
            f"{KEY}: {' and '.join(differing)}; regions that are cut in another way are not comparable: use the bank's "
            "values, or export a bank with --regions.fill and --regions.expand"
        )

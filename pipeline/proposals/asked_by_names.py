"""What the learned backends have in common that have to be asked by names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.networks import Batches, device
from pipeline.proposals.pretrained import Pretrained
from pipeline.proposals.proposer import NamedProposals, Proposals


class AskedByNames(ABC):
    """A `PromptedProposer` that encodes images of one size together, and proposes nothing without names."""

    learned = True
    prompted = True

    def __init__(self, name: str, config: ProposalsConfig, pretrained: Pretrained, names_per_batch: int) -> None:
        """Bring a model onto the GPU if there is one.

        Args:
            name: of the backend.
            pretrained: with its tokenizer.
            names_per_batch: asked together.
        """
        assert pretrained.tokenizer is not None
        self._config = config
        self._device = device()
        self._model = pretrained.model.to(self._device)
        self._pretrained = pretrained
        self._tokenizer = pretrained.tokenizer
        self._batches = Batches(config.batch_size)
        self._names = Batches(names_per_batch, "names", "proposals.options.names_per_batch")
        self.batch_size = config.batch_size
        self.identity = {"name": name, "version": "1", "prompted": "true", "weights_sha256": pretrained.sha256}

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Refused: the model has to be asked for something.

        Raises:
            UserError
        """
        raise UserError(f"proposals.backend: {self.identity['name']} is asked by names; it proposes nothing without")

    def propose_named(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], names: Sequence[Sequence[str]]
    ) -> list[NamedProposals]:
        """The answers to the names of each image.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes from 1 × 1.
            image_ids: not looked at.
            names: of each image.

        Raises:
            ImageProblem: `not_a_number`.
            ValueError: an image is not such an array.
            torch.OutOfMemoryError: the GPU's memory does not suffice for one image, one name and one box.
        """
        return self._batches.run_together(images, names, self._propose)

    @abstractmethod
    def _propose(self, images: list[np.ndarray], names: list[Sequence[str]]) -> list[NamedProposals]:
        """The same for images of one size."""

"""With which CLIP, and how cut, the regions of a dataset go into a bank, where nobody says so."""

from dataclasses import dataclass

import torch

from pipeline.bank.description import BankDescription
from pipeline.clip.config import ClipConfig
from pipeline.clip.template_choice import Templates
from pipeline.configuration.paths import with_absolute_paths
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.regions.config import RegionsConfig
from pipeline.storage.documents import damaged


@dataclass(frozen=True)
class BankSettings:
    """How a bank is made."""

    architecture: str | None = None
    weights: str | None = None
    """The CLIP, see `ClipConfig`; both empty: that of the bank, or the one that matched the first dataset."""
    regions: RegionsConfig | None = None
    """How regions are shown to CLIP; None: as in the bank, or as when the first dataset was mined."""
    where: str | None = None
    """Condition on the pairs, as `data.where`."""
    templates: Templates = "vild"
    """Prompt templates of the nouns' text embeddings, as `ClipConfig` has them."""
    batch_size: int = 64
    """Regions per forward pass."""

    @property
    def device(self) -> str:
        """Where CLIP runs."""
        return "cuda" if torch.cuda.is_available() else "cpu"


def dataset_clip(
    dataset: MinedDataset, bank: BankDescription | None, settings: BankSettings
) -> tuple[str | None, tuple[str | None, str | None]]:
    """Which CLIP encodes: the SHA-256 that all of its weights must have, if that is known; architecture and weights.

    Raises:
        UserError: nobody says which.
    """
    if settings.architecture or settings.weights:
        named = with_absolute_paths(ClipConfig(architecture=settings.architecture, weights=settings.weights), "clip")
        return None, (named.architecture, named.weights)
    if bank:
        return None, (bank.clip.architecture, bank.clip.weights)
    models, configured = dataset.description["models"].get("clip"), dataset.description["configuration"].get("clip")
    if not isinstance(configured, dict):
        raise UserError(f"{dataset.layout.config} names no CLIP; name one with --clip.architecture and --clip.weights")
    architecture, weights = configured.get("architecture"), configured.get("weights")
    if not all(value is None or isinstance(value, str) for value in (architecture, weights)):
        raise damaged(dataset.layout.config, "its clip.architecture or clip.weights is no text")
    sha256 = models.get("sha256") if isinstance(models, dict) else None
    return sha256 if isinstance(sha256, str) else None, (architecture, weights)


def dataset_regions(dataset: MinedDataset) -> RegionsConfig:
    """How regions were shown to CLIP in mining.

    Raises:
        UserError: `config.yaml` says what cannot be.
    """
    configured = dataset.description["configuration"].get("regions") or {}
    if not isinstance(configured, dict):
        raise damaged(dataset.layout.config, "its regions are no section")
    fill, expand = configured.get("fill", "mean"), configured.get("expand", 1.0)
    if fill not in ("mean", "zero", "none") or type(expand) not in (int, float) or not expand >= 1:
        raise damaged(dataset.layout.config, f"its regions are {str(configured)[:200]}")
    return RegionsConfig(fill, float(expand))

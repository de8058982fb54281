"""Images of an evaluation that a bank was mined from: what they would give away, and how many they are."""

import sys
from collections.abc import Sequence

from pipeline.bank.config import BankConfig
from pipeline.bank.reading import open_bank
from pipeline.evaluation.datasets import SegmentationDataset
from pipeline.evaluation.datasets.contents import Digests
from pipeline.segmentation.segmenter import ImageIdentity


def image_identities(
    dataset: SegmentationDataset, image_ids: Sequence[str], sha256s: Sequence[str]
) -> list[ImageIdentity]:
    """What identifies each image: SHA-256 of its file, and its URI."""
    uris = [dataset.files.uri(dataset.paths_of(image_id)[0]) for image_id in image_ids]
    return list(zip(sha256s, uris, strict=True))


def bank_leakage(config: BankConfig, dataset: SegmentationDataset, digests: Digests) -> dict | None:
    """What `result.json` says of the bank; None without one. What a reader of the figures has to know is also printed.

    Args:
        digests: of the files of the evaluated images.

    Returns:
        `sha256` (of the bank), `entries`, `weight`, `neighbours`; `same_image`; `images_in_bank`: evaluated images that
        gave entries; `bank_images_without_sha256`: images in the bank that were never a file, so that nobody can tell
        whether they are among the evaluated.
    """
    if config.path is None:
        return None
    bank = open_bank(config.path)
    identities = image_identities(dataset, list(digests), [found[0] for found in digests.values()])
    held = sum(bank.holds(*identity) for identity in identities)
    unknown = bank.images_without_sha256
    if held and config.same_image == "allow":
        _warn(
            f"{held} of the {len(digests)} evaluated images are in the bank, and their own regions voted "
            "(segmentation.bank.same_image: allow)"
        )
    elif held:
        _warn(f"{held} of the {len(digests)} evaluated images are in the bank; their own regions did not vote for them")
    if unknown:
        _warn(f"{unknown} images of the bank have no SHA-256; whether they are among the evaluated is not known")
    return {
        "sha256": bank.description.sha256,
        "entries": bank.entries,
        "weight": config.weight,
        "neighbours": config.neighbours,
        "same_image": config.same_image,
        "images_in_bank": held,
        "bank_images_without_sha256": unknown,
    }


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)

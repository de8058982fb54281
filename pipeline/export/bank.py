"""A bank of mined regions: their CLIP embeddings and nouns, which segmentation asks beside CLIP (`pipeline/bank`)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pipeline import storage
from pipeline.bank.description import BankClip, BankDescription, BankRegions
from pipeline.bank.segments import (
    read_if_there,
    with_segment,
    without_segment,
    write_description,
)
from pipeline.clip.loading import load_clip
from pipeline.clip.model import Clip
from pipeline.clip.template_choice import Templates, read_templates
from pipeline.clip.text import TextEmbedder
from pipeline.configuration import limits
from pipeline.configuration.paths import refuse_secrets
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.export.bank_segment import SegmentWriter
from pipeline.export.bank_source import BankSettings, dataset_clip, dataset_regions
from pipeline.export.opening import open_pairs
from pipeline.regions.config import RegionsConfig


@dataclass(frozen=True)
class BankExport:
    """What a bank holds, and what was done for it."""

    entries: int
    """Of all datasets."""
    datasets: int
    added: int
    """Shards that were encoded."""
    before: int
    """Shards that were there, from an earlier run."""
    without_sha256: int
    """Images in it that were never a file."""
    complete: bool
    """False while one of the datasets is still being mined: what is committed was exported."""


def export_bank(outputs: Sequence[str], to: str, settings: BankSettings) -> BankExport:
    """Add mined datasets to a bank, which is made if it is not there. A dataset that is in it is brought up to date.

    Goes on shard by shard: the same call after any failure encodes what is missing. `bank.json` is written when a
    dataset is whole, so that readers see the bank with it or without it. One export at a time may write into a bank.

    Args:
        outputs: the datasets, any fsspec URIs.
        to: the folder of the bank, any fsspec URI.

    Raises:
        UserError: there is no dataset, it is damaged or has no pair; the bank is of another CLIP or regions, or `to` is
            no bank or cannot be written.
        OSError: storage cannot be read or written.
    """
    refuse_secrets("--to", to)
    limits.check(settings.regions or RegionsConfig(), "regions")
    settings = replace(settings, templates=read_templates(settings.templates, "--clip.templates"))
    datasets = [open_pairs(output) for output in outputs]
    storage.check_writable(to, "--to")
    bank = read_if_there(to, "--to")
    clip, config = dataset_clip(datasets[0], bank, settings)
    loaded = load_clip(*config, device=settings.device)
    described = _description(loaded, config, _regions(datasets[0], bank, settings), settings.templates)
    bank = _continued(to, bank, described)
    if clip is not None and clip != loaded.weights_sha256():
        raise UserError(
            f"{datasets[0].layout.uri}: the CLIP that matched it was {config[0]}, which has other weights now; name a "
            "CLIP with --clip.architecture and --clip.weights"
        )
    added = before = 0
    for dataset in datasets:
        _check_context(dataset, bank.regions)
        writer = SegmentWriter(to, dataset, loaded, bank, settings)
        bank = with_segment(bank, writer.write())
        write_description(to, bank)
        added, before = added + writer.added, before + writer.before
    return replace(_state(bank, all(dataset.complete for dataset in datasets)), added=added, before=before)


def remove_from_bank(to: str, dataset: str) -> BankExport:
    """Take a dataset out of a bank; nothing is encoded. Arguments as of `without_segment`.

    Raises:
        UserError: there is no bank, or the dataset is not in it.
        OSError: storage cannot be read or written.
    """
    bank = read_if_there(to, "--to")
    if bank is None:
        raise UserError(f"--to: {to} is no bank, so there is nothing to remove from it")
    bank = without_segment(bank, dataset)
    write_description(to, bank)
    return _state(bank, True)


def _state(bank: BankDescription, complete: bool) -> BankExport:
    entries = sum(segment.pairs for segment in bank.segments)
    unknown = sum(segment.images_without_sha256 for segment in bank.segments)
    return BankExport(entries, len(bank.segments), 0, 0, unknown, complete)


def _description(
    clip: Clip, config: tuple[str | None, str | None], regions: RegionsConfig, templates: Templates
) -> BankDescription:
    size, mean, std = clip.input.size, list(clip.input.mean), list(clip.input.std)
    of = BankClip(*config, clip.vision_weights_sha256(), clip.text_weights_sha256(), size, mean, std)
    width = int(TextEmbedder(clip, "none")(["thing"]).shape[1])
    return BankDescription(of, width, templates, BankRegions(regions.fill, regions.expand), [])


def _continued(to: str, bank: BankDescription | None, described: BankDescription) -> BankDescription:
    """The bank that is there, if it was made with the same CLIP and settings; or the new one.

    Raises:
        UserError: it was made with others.
    """
    if bank is None:
        return described
    # Where the CLIP lay is no matter: its hashes say which it is.
    there, now = (
        {**asdict(one), "clip": {**asdict(one.clip), "architecture": None, "weights": None}, "segments": None}
        for one in (bank, described)
    )
    if differing := [f"{name}: {there[name]} → {now[name]}" for name in there if there[name] != now[name]]:
        raise UserError(
            f"--to: {to} is a bank of another CLIP or other regions; differences (there → now): "
            f"{'; '.join(differing)}. Use the same settings, or another folder"
        )
    return bank


def _regions(dataset: MinedDataset, bank: BankDescription | None, settings: BankSettings) -> RegionsConfig:
    if settings.regions:
        return settings.regions
    if bank:
        return RegionsConfig(bank.regions.fill, bank.regions.expand)  # type: ignore[arg-type]  # checked where it is used
    return dataset_regions(dataset)


def _check_context(dataset: MinedDataset, regions: BankRegions) -> None:
    shards = dataset.description["configuration"].get("shards")
    context = shards.get("context", 1.0) if isinstance(shards, dict) else 1.0
    if isinstance(context, int | float) and regions.expand > context:
        raise UserError(
            f"--regions.expand: {regions.expand:g} shows more than {dataset.layout.uri} stores (shards.context: "
            f"{context:g}); use at most that, or mine with a larger shards.context"
        )

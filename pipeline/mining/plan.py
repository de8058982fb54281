"""Before any worker starts: is everything there, what will be done, and is the output directory ours?"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from pipeline import storage
from pipeline.captions import CaptionSource, ImagesLookedFor, Listing, at_commits, measure_listing, open_captions
from pipeline.clip import Clip, load_clip
from pipeline.clip.templates import check_fit
from pipeline.configuration import limits
from pipeline.configuration.paths import with_absolute_paths
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import BYTES_PER_PAIR
from pipeline.errors import UserError
from pipeline.escaping.terminal import escape, printable
from pipeline.mining.config import MineConfig
from pipeline.mining.resources import check_resources, machines
from pipeline.mining.stages import matching_clips
from pipeline.mining.verifiers import check_names
from pipeline.negatives import Negatives
from pipeline.negatives.config import NOUN
from pipeline.nouns import NounExtractor, union
from pipeline.proposals import Proposer, load_proposer, resolve_proposals
from pipeline.proposals.ground_truth import GroundTruth
from pipeline.proposals.mined import Mined
from pipeline.proposals.proposer import is_prompted

_SAMPLED_IMAGES = 512


@dataclass(frozen=True)
class ModelIdentities:
    """Identity and hash of everything that was loaded, by part."""

    nouns: dict
    proposals: dict
    clip: dict
    cross_fit: list[dict]
    """Of the CLIPs that match the folds, if there are such."""
    negatives: dict = field(default_factory=dict)
    """Of the lists that hard negatives come from, if they are asked for."""

    def described(self) -> dict:
        """As `config.yaml` has them."""
        found = {"nouns": self.nouns, "proposals": self.proposals, "clip": self.clip}
        optional = {"cross_fit": self.cross_fit, "negatives": self.negatives}
        return found | {part: identity for part, identity in optional.items() if identity}


def resolve(config: MineConfig) -> MineConfig:
    """The configuration that workers get: its numbers within their limits, its local paths absolute, branches of the
    Hugging Face hub as the commits that they are now.

    Raises:
        UserError: naming the key.
    """
    limits.check(config)
    check_names(config.verify)
    if config.matching.text == "phrase" and config.nouns.form != "phrase":
        raise UserError(
            f"matching.text is phrase, but nouns.form is {config.nouns.form}: there are no phrases to match; "
            "set nouns.form to phrase, or matching.text to noun"
        )
    resolved = replace(with_absolute_paths(config), proposals=resolve_proposals(config.proposals))
    for name, options in resolved.proposals.each():
        dataset = str(options.get("dataset")).rstrip("/")
        if name == "mined" and dataset == resolved.output.rstrip("/"):
            raise UserError(f"proposals.options.dataset: {dataset} is the output itself; mine into another directory")
    _check_negatives(resolved)
    return replace(resolved, captions=at_commits(resolved.captions))


def _check_negatives(config: MineConfig) -> None:
    kinds = config.negatives.kinds
    if not config.negatives.count:
        return
    if not kinds:
        raise UserError("negatives.kinds is empty, so there is nothing to change: name kinds, or set negatives.count 0")
    if NOUN not in kinds and str(config.nouns.form) != "phrase":
        raise UserError(
            f"negatives.kinds: {', '.join(kinds)} change words of phrases, and with nouns.form {config.nouns.form} "
            f"there are none: add {NOUN!r}, or set nouns.form phrase"
        )


class _Met:
    """A source that notices, as its rows pass, whether the annotations, or the dataset mined before, know any image."""

    def __init__(self, source: CaptionSource, truth: GroundTruth | Mined):
        self._source = source
        self._truth = truth
        self.any = False
        self.first: str | None = None

    @property
    def dropped(self) -> int | None:
        return self._source.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._source.batches():
            if not self.any:
                ids = batch["image_id"].to_pylist()
                self.first = self.first or next(iter(ids), None)
                self.any = any(map(self._truth.knows, ids))
            yield batch


def measure_source(config: MineConfig, source: CaptionSource, proposer: Proposer | None) -> Listing:
    """The totals of the source. Of annotations, says what cannot be used of them.

    Args:
        proposer: None if it need not be looked at.

    Raises:
        UserError: the source lists no images, no annotation can be used, or the annotations know no image of the
            source.
    """
    truth = proposer if isinstance(proposer, GroundTruth) else None
    if truth and (warning := truth.check()):
        print(printable(f"warning: {warning}"), file=sys.stderr)
    known = truth or (proposer if isinstance(proposer, Mined) else None)
    met = _Met(source, known) if known else None
    listing = measure_listing(met or source, config.shards.images_per_shard, config.limit)
    if not listing.images and listing.dropped:
        raise UserError(
            f"captions.where: {config.captions.where!r} is fulfilled by none of the {listing.dropped} rows of "
            f"captions.path, {config.captions.path}"
        )
    if not listing.images:
        raise UserError(f"captions.path: {config.captions.path} lists no images")
    if met and not met.any and not truth:
        raise UserError(
            f"proposals.options.dataset: {config.proposals.options['dataset']} lists none of the {listing.images} "
            f"images of captions.path, {config.captions.path}, which are called {met.first!r} and the like: is it a "
            "dataset of these images?"
        )
    if truth and met and not met.any:
        remedy = "are they annotations of these images?"
        if config.captions.format == "table":
            remedy = "set captions.id_column to the column with the ids or file names that the annotations have"
        raise UserError(
            f"proposals.options.annotations: {config.proposals.options['annotations']} lists none of the "
            f"{listing.images} images of captions.path, {config.captions.path}, by id or file_name: there they are "
            f"called {met.first!r} and the like, here {truth.image_ids[0]!r}; {remedy}"
        )
    return listing


def check_among(config: MineConfig, proposer: Proposer) -> None:
    """Check that nouns which are to choose among the masks that they asked for ask at all.

    Raises:
        UserError: `matching.among` is `prompted`, and the backend is not asked by names.
    """
    if config.matching.among == "prompted" and not is_prompted(proposer):
        name = proposer.identity["name"]
        raise UserError(
            f"matching.among: prompted needs proposals that are asked by names, and the backend {name} is not; choose "
            "one that is (sam3, grounding_dino, owlv2), or among: all"
        )


def check_models(config: MineConfig, proposer: Proposer) -> ModelIdentities:
    """Load every other model once in this process, so that what is absent is said now, and take all hashes.

    Raises:
        UserError: one cannot be loaded, or one of `cross_fit` has another text tower than `clip`.
    """
    clip = load_clip(config.clip.architecture, config.clip.weights)
    check_fit(clip.tokenizer, config.clip.templates, "clip.templates")
    return ModelIdentities(
        nouns=NounExtractor.from_config(config.nouns).identity,
        proposals=dict(proposer.identity),
        clip={"sha256": clip.weights_sha256(), "image_size": clip.input.size},
        cross_fit=_check_cross_fit(config, clip),
        negatives=Negatives(config.negatives).identity if config.negatives.count else {},
    )


def _check_cross_fit(config: MineConfig, clip: Clip) -> list[dict]:
    """Identities of the CLIPs of the folds, one in memory at a time."""
    if len(config.cross_fit) == 1:
        raise UserError("cross_fit: one CLIP would match all images; name one for each of at least two folds")
    expected, found = clip.text_weights_sha256() if config.cross_fit else "", []
    for fold, matching in enumerate(matching_clips(config) if config.cross_fit else ()):
        adapted = load_clip(matching.architecture, matching.weights)
        if adapted.text_weights_sha256() != expected:
            raise UserError(
                f"cross_fit[{fold}]: {matching.architecture} has another text tower than clip.architecture, "
                f"{config.clip.architecture}, so that its regions cannot be compared with the nouns that clip embeds; "
                "name CLIPs that were adapted from that one with the text tower frozen"
            )
        identity = {"sha256": adapted.weights_sha256(), "image_size": adapted.input.size}
        found.append({"architecture": matching.architecture, **identity})
    return found


def print_plan(config: MineConfig) -> None:
    """Say what a run would do and write. Reads the source and finds the nouns of its first shards; writes nothing.

    Raises:
        UserError: as mining would before it starts.
    """
    config = resolve(config)
    storage.check_writable(config.output, "output")
    check_resources(config, machines())
    source = ImagesLookedFor(open_captions(config.captions), config.captions)
    annotated = config.proposals.backend in ("ground_truth", "mined")
    listing = measure_source(config, source, load_proposer(config.proposals) if annotated else None)
    batch = next(source.batches()).slice(0, min(config.limit or _SAMPLED_IMAGES, _SAMPLED_IMAGES))
    per_image = None if config.captions_per_image == "all" else config.captions_per_image
    captions = [row[:per_image] for row in batch["captions"].to_pylist()]
    find = NounExtractor.from_config(config.nouns)
    nouns = sum(len(union(find.extract(row), config.nouns.form)) for row in captions) / max(len(captions), 1)
    committed = len(Layout(config.output).committed())
    pairs = round(nouns * listing.images)
    table = Table("plan", "", show_header=False)
    for name, value in (
        ("images", listing.images),
        *([("rows that captions.where drops", listing.dropped)] if listing.dropped is not None else []),
        ("captions in the source", listing.captions),
        ("captions per image", config.captions_per_image),
        ("shards", f"{listing.shards}, {committed} of them committed already"),
        ("nouns found by", find.identity["name"]),
        (
            "phrases an image" if config.nouns.form == "phrase" else "nouns an image",
            f"{nouns:.2f} (measured on {len(captions)} images)",
        ),
        ("pairs, about", pairs),
        (
            "shards' size, about",
            f"{pairs * BYTES_PER_PAIR / 1e9:.2f} GB (at {BYTES_PER_PAIR // 1000} kB a pair)",
        ),
        ("proposals", ", ".join(name for name, _ in config.proposals.each())),
        ("CLIP", f"{config.clip.architecture}, {config.clip.weights}"),
        *((f"CLIP of fold {fold}", name) for fold, name in enumerate(config.cross_fit)),
        *([("CLIPs in a worker's memory", len(config.cross_fit))] if config.cross_fit else []),
        *((f"verifier {one.name}", f"{one.architecture}, {one.weights}") for one in config.verify),
        ("output", config.output),
    ):
        table.add_row(name, escape(str(value)))
    Console().print(table)

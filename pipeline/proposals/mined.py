"""Backend `mined`: the proposals that another mined dataset kept, so that mining again needs no other backend."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np

from pipeline import storage
from pipeline.captions.listed_ids import ListedIds
from pipeline.configuration.markers import LocalPath
from pipeline.dataset.files import listed_files
from pipeline.dataset.kept_proposals import KeptProposals, ProposalsOfShard
from pipeline.dataset.layout import Layout
from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.proposer import NamedProposals, Proposals, check_image
from pipeline.storage.documents import damaged
from pipeline.storage.secrets import MARK

_KEY = "proposals.options.dataset"
_SHARDS_HELD = 4
_FILTERS = ("min_area", "max_area", "max_iou", "max_proposals", "mask_threshold")
_ORIGINAL = "original_"


@dataclass
class MinedOptions:
    """The `mined` backend: what another dataset kept."""

    dataset: Annotated[str, LocalPath.ANY]
    """Output directory of a complete mining job with `keep_proposals: true`; any URI."""


class Mined:
    """Proposes for an image what a dataset kept of it: the same masks and scores in the same order.

    The limits of the configuration were applied when the proposals were made, and are not applied again. Images are
    found by their ids, and have to be of the size that they had.
    """

    options_class = MinedOptions
    learned = False
    reads_pixels = False

    def __init__(self, config: ProposalsConfig, options: MinedOptions) -> None:
        """Look at the dataset; its tables are read when an image of theirs is wanted.

        Raises:
            UserError: there is no dataset, it is not complete or kept no proposals, or the configuration asks for other
                limits than its own.
            OSError: storage cannot be read.
        """
        if not options.dataset:
            raise UserError(f"{_KEY} is empty: name the output directory of a mining job with keep_proposals")
        dataset = open_mined_dataset(options.dataset, _KEY)
        self._layout: Layout = dataset.layout
        if dataset.description["configuration"].get("keep_proposals") is not True:
            raise UserError(
                f"{_KEY}: {options.dataset} keeps no proposals; mine it anew with keep_proposals: true, or choose the "
                "backend that it was made with"
            )
        if not dataset.complete:
            raise UserError(f"{_KEY}: {options.dataset} is not complete yet; run its job to the end first")
        self._digests = _digests(self._layout, dataset.shards)
        self._images_per_shard = _images_per_shard(dataset.description, self._layout)
        _check_limits(config, dataset.description, options.dataset)
        self.batch_size = 1
        self.identity = _identity(dataset.description, self._digests)
        self.prompted = self.identity.get(f"{_ORIGINAL}prompted") == "true"
        self._listed: dict[bool, ListedIds] = {}
        self._held: OrderedDict[int, ProposalsOfShard] = OrderedDict()

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """What the dataset kept of each image.

        Args:
            images: uint8 [H, W, 3]; only their sizes are looked at.
            image_ids: as the dataset has them.

        Raises:
            ImageProblem: `not_mined`, the dataset does not list the image; `proposals_size`, it had another size there.
            UserError: a table of the dataset is damaged, or another one than when this backend was made.
            OSError: storage cannot be read.
        """
        return [self._propose(*given) for given in zip(images, image_ids, strict=True)]

    def propose_named(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], names: Sequence[Sequence[str]]
    ) -> list[NamedProposals]:
        """What the dataset kept of each image, if it was asked by names itself; arguments and errors as for `propose`.

        A name that the image was asked for then, and that no mask answered, is `not_found` again; one that it was not
        asked for then is `not_asked`.
        """
        found = []
        for proposals, asked in zip(self.propose(images, image_ids), names, strict=True):
            answered = {name for of in proposals.prompts or () for name in of}
            unanswered = {name: self._unanswered(name, proposals) for name in asked if name not in answered}
            found.append(NamedProposals(proposals, unanswered))
        return found

    def _unanswered(self, name: str, proposals: Proposals) -> ImageProblem:
        if name in (proposals.asked or ()):
            return ImageProblem("not_found")
        return ImageProblem("not_asked", f"{self._layout.uri} was not asked for it")

    def knows(self, image_id: str) -> bool:
        """Whether the dataset lists this image."""
        return bool(self._shards(image_id))

    def absence(self, image_id: str) -> ImageProblem:
        """Why an image has no proposals: it was rejected there."""
        return ImageProblem("no_proposals", f"{self._layout.uri} kept none of it: it was rejected there")

    def _propose(self, image: np.ndarray, image_id: str) -> Proposals:
        check_image(image)
        height, width = image.shape[:2]
        shards = self._shards(image_id)
        if not shards:
            raise ImageProblem("not_mined", f"{self._layout.uri} does not list it")
        kept = self._kept(shards, image_id)
        if kept is None:
            raise self.absence(image_id)
        if kept.masks.size != (height, width):
            raise ImageProblem(
                "proposals_size",
                f"it is {width}×{height}, and was {kept.masks.width}×{kept.masks.height} in {self._layout.uri}: "
                "another file, or another images.max_side",
            )
        return Proposals(kept.masks, kept.scores, kept.backends, kept.prompts, kept.asked)

    def _kept(self, shards: list[int], image_id: str) -> KeptProposals | None:
        for shard in shards:
            table = self._table(shard)
            if image_id in table:
                return table.proposals(image_id)
        return None

    def _table(self, shard: int) -> ProposalsOfShard:
        """The table of a shard. Mining goes through images in order, so that the last few shards are enough."""
        if shard in self._held:
            self._held.move_to_end(shard)
            return self._held[shard]
        uri = self._layout.table("proposals", shard)
        if shard not in self._digests:
            raise damaged(uri, "dataset.json does not list it")
        try:
            data = storage.read_bytes(uri)
        except FileNotFoundError:
            raise damaged(uri, "it is missing") from None
        if hashlib.sha256(data).hexdigest() != self._digests[shard]:
            raise damaged(uri, "its content differs from its checksum in dataset.json, or was mined again meanwhile")
        self._held[shard] = ProposalsOfShard(data, uri, shard)
        while len(self._held) > _SHARDS_HELD:
            self._held.popitem(last=False)
        return self._held[shard]

    def _shards(self, image_id: str) -> list[int]:
        shown = MARK in image_id
        if shown not in self._listed:  # read once by each worker, when the first image comes
            self._listed[shown] = ListedIds(self._layout.uri, self._images_per_shard, shown=shown)
        return self._listed[shown].shards(image_id)


def _digests(layout: Layout, shards: list[int]) -> dict[int, str]:
    """The SHA-256 of every proposals table, by shard, as `dataset.json` has them."""
    files = listed_files(layout)
    digests = {}
    for shard in shards:
        file = layout.relative(layout.table("proposals", shard))
        if file not in files:
            raise damaged(layout.dataset, f"it does not list {file}")
        digests[shard] = files[file]["sha256"]
    return digests


def _images_per_shard(description: dict, layout: Layout) -> int:
    shards = description["configuration"].get("shards")
    found = shards.get("images_per_shard") if isinstance(shards, dict) else None
    if type(found) is not int or found < 1:
        raise damaged(layout.config, f"shards.images_per_shard is {str(found)[:40]}")
    return found


def _check_limits(config: ProposalsConfig, description: dict, dataset: str) -> None:
    """Limits that are neither those of the dataset nor left as they are would silently do nothing."""
    there = description["configuration"].get("proposals")
    defaults = {field.name: field.default for field in fields(ProposalsConfig)}
    for name in _FILTERS:
        wanted, had = getattr(config, name), there.get(name) if isinstance(there, dict) else None
        if wanted not in (had, defaults[name]):
            raise UserError(
                f"proposals.{name}: {wanted}, but the proposals of {dataset} were made with {had}, and mined takes "
                "them as they are; leave the key out, or mine with the original backend"
            )


def _identity(description: dict, digests: dict[int, str]) -> dict[str, str]:
    """The tables by their checksums, and the backend that once made the masks, through any number of datasets."""
    known = description["models"].get("proposals")
    known = {str(name): str(value) for name, value in known.items()} if isinstance(known, dict) else {}
    if known.get("name") == "mined":
        original = {name: value for name, value in known.items() if name.startswith(_ORIGINAL)}
    else:
        original = {f"{_ORIGINAL}{name}": value for name, value in known.items()}
    whole = hashlib.sha256("".join(digests[shard] for shard in sorted(digests)).encode()).hexdigest()
    return {"name": "mined", "version": "1", "proposals_sha256": whole, **original}

"""Candidates → the committed shard."""

from collections.abc import Callable, Iterator

from pipeline.dataset.hashes import HashedImage, write_hashes
from pipeline.dataset.kept_proposals import KeptProposals, proposals_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import Sample, ShardsConfig, commit_shard, image_key
from pipeline.images import decode_jpeg
from pipeline.mining.matching import Candidate, MatchingConfig, passes
from pipeline.mining.work import Image, Shard, reject_on_error
from pipeline.negatives import ImageText, Negatives, Subject
from pipeline.proposals import Proposals


class WriteShard:
    """Candidates → the committed shard."""

    def __init__(
        self,
        layout: Layout,
        matching: MatchingConfig,
        shards: ShardsConfig,
        *,
        keep_proposals: bool = False,
        negatives: Negatives | None = None,
    ):
        """`negatives`: finds those of every pair; None: pairs have none."""
        self._layout = layout
        self._negatives = negatives
        self._matching = matching
        self._shards = shards
        self._keep_proposals = keep_proposals

    def __call__(self, shard: Shard, announce: Callable[[int], None]) -> list[dict]:
        """Commit the shard; returns the rows of its manifest."""
        candidates: list[dict] = []
        write_hashes(self._layout, shard.number, _hashed(shard))
        # Before the samples are made: those that pass no threshold leave the shard then.
        proposals = proposals_table(shard.number, _kept(shard)) if self._keep_proposals else None
        return commit_shard(
            self._layout,
            shard.number,
            len(shard.images),
            self._samples(shard, announce, candidates),
            candidates,
            shard.rejects,
            self._shards,
            proposals,
        )

    def _samples(self, shard: Shard, announce: Callable[[int], None], candidates: list[dict]) -> Iterator[Sample]:
        for image in shard.remaining():
            with reject_on_error(shard, image, "writing"):
                announce(image.index)
            if image.rejected:
                continue
            # Only a rejected image is without these.
            assert image.jpeg is not None
            assert image.proposals is not None
            assert image.valid is not None
            assert image.matches is not None
            proposals = [index for index, valid in enumerate(image.valid) if valid]
            kept = []
            for noun, best in zip(image.nouns, image.matches, strict=True):
                rows = [
                    _candidate_row(shard, image, noun, noun[self._matching.text], candidate, proposals)
                    for candidate in best
                ]
                candidates.extend(rows)
                if rows and passes(best[0], rows[0]["mask_area"], self._matching):
                    kept.append((noun, rows[0], best[0]))
            if not kept:
                reason = "all_filtered" if any(image.matches) else "empty_masks"
                shard.reject(image, "matching", reason)
                continue
            pixels = decode_jpeg(image.jpeg.data)
            negatives = self._negatives_of(image, [noun for noun, _, _ in kept])
            for pair, (noun, row, candidate) in enumerate(kept):
                [mask] = image.proposals.masks.select([row["proposal_index"]]).decode()
                yield Sample(
                    {**_manifest_row(shard, image, pair, noun, row, candidate), "negatives": negatives[pair]},
                    pixels,
                    mask.astype(bool),
                )

    def _negatives_of(self, image: Image, nouns: list[dict]) -> list[list[str]] | list[None]:
        """The negatives of each of an image's nouns; None of each if none are asked for."""
        if self._negatives is None:
            return [None] * len(nouns)
        image_id = image.row["image_id"]
        text = ImageText([noun["noun"] for noun in image.row["nouns"]], image.row["captions"])
        subjects = (Subject(noun["noun"], noun["surface"], noun["phrase"], noun["attributes"] or ()) for noun in nouns)
        return [self._negatives.of(subject, text, image_id) for subject in subjects]


def _kept(shard: Shard) -> Iterator[KeptProposals]:
    """The proposals of every image that was matched."""
    for image in shard.remaining():
        assert image.proposals is not None  # only a rejected image is without
        proposals = image.proposals
        yield KeptProposals(
            image.row["image_id"],
            image.row["image_uri"],
            proposals.masks,
            proposals.scores,
            proposals.backends,
            proposals.prompts,
            proposals.asked,
        )


def _hashed(shard: Shard) -> Iterator[HashedImage]:
    """Every image whose file held a picture, whatever became of it."""
    for image in shard.images:
        if image.perceptual_hash is not None:
            yield HashedImage(
                image.row["image_id"],
                image.row["image_uri"],
                image.file_sha256 or "",
                image.perceptual_hash,
            )


def _candidate_row(
    shard: Shard, image: Image, noun: dict, asked: str, candidate: Candidate, proposals: list[int]
) -> dict:
    assert image.proposals is not None  # the candidate is one of them
    index = proposals[candidate.region]
    mask = image.proposals.masks.select([index])
    [code], [box], [area] = mask, mask.boxes(), mask.areas
    return {
        "shard": shard.number,
        "image_id": image.row["image_id"],
        "image_uri": image.row["image_uri"],
        "image_width": mask.width,
        "image_height": mask.height,
        "noun": noun["noun"],
        "phrase": noun["phrase"],
        "rank": candidate.rank,
        **{f"box_{edge}": int(value) for edge, value in zip(("x0", "y0", "x1", "y1"), box, strict=True)},
        "mask_rle": code.decode(),
        "mask_area": int(area),
        "proposal_index": index,
        "proposal_score": float(image.proposals.scores[index]),
        **_origin(image.proposals, index, asked),
        "clip_score": candidate.score,
        "noun_margin": candidate.noun_margin,
    }


def _origin(proposals: Proposals, index: int, name: str) -> dict:
    """Which backend made a mask, and the name that asked for it: that of the noun if it did, else the best one."""
    prompts = proposals.prompts[index] if proposals.prompts else {}
    by = name if name in prompts else max(prompts, key=lambda name: prompts[name], default=None)
    return {
        "backend": proposals.backends[index] if proposals.backends else None,
        "prompted_by": by,
        "prompt_score": None if by is None else prompts[by],
    }


def _manifest_row(shard: Shard, image: Image, pair: int, noun: dict, row: dict, candidate: Candidate) -> dict:
    assert image.jpeg is not None  # it has pairs, so it is not rejected
    row = {
        **row,
        "key": f"{image_key(shard.number, image.index)}-{pair:03d}",
        "original_width": image.jpeg.original_width,
        "original_height": image.jpeg.original_height,
        "image_bytes": image.file_bytes,
        "image_sha256": image.file_sha256,
        "surface": noun["surface"],
        "caption": image.row["captions"][noun["caption_index"]],
        "caption_index": noun["caption_index"],
        "char_start": noun["char_start"],
        "char_end": noun["char_end"],
        "phrase_start": noun["phrase_start"],
        "phrase_end": noun["phrase_end"],
        "attributes": noun["attributes"],
        "mask_margin": candidate.mask_margin,
    }
    del row["rank"]  # of the candidates table alone
    return row

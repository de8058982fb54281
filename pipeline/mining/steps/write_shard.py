"""Candidates → the committed shard."""

from collections.abc import Callable, Iterator

from pipeline.dataset.kept_proposals import KeptProposals, proposals_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import Sample, ShardsConfig, commit_shard, image_key
from pipeline.images import decode_jpeg
from pipeline.mining.matching import Candidate, MatchingConfig, passes
from pipeline.mining.work import Image, Shard, reject_on_error


class WriteShard:
    """Candidates → the committed shard."""

    def __init__(self, layout: Layout, matching: MatchingConfig, shards: ShardsConfig, *, keep_proposals: bool = False):
        self._layout = layout
        self._matching = matching
        self._shards = shards
        self._keep_proposals = keep_proposals

    def __call__(self, shard: Shard, announce: Callable[[int], None]) -> list[dict]:
        """Commit the shard; returns the rows of its manifest."""
        candidates: list[dict] = []
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
                rows = [_candidate_row(shard, image, noun, candidate, proposals) for candidate in best]
                candidates.extend(rows)
                if rows and passes(best[0], rows[0]["mask_area"], self._matching):
                    kept.append((noun, rows[0], best[0]))
            if not kept:
                reason = "all_filtered" if any(image.matches) else "empty_masks"
                shard.reject(image, "matching", reason)
                continue
            pixels = decode_jpeg(image.jpeg.data)
            for pair, (noun, row, candidate) in enumerate(kept):
                [mask] = image.proposals.masks.select([row["proposal_index"]]).decode()
                yield Sample(
                    _manifest_row(shard, image, pair, noun, row, candidate),
                    pixels,
                    mask.astype(bool),
                )


def _kept(shard: Shard) -> Iterator[KeptProposals]:
    """The proposals of every image that was matched."""
    for image in shard.remaining():
        assert image.proposals is not None  # only a rejected image is without
        proposals = image.proposals
        yield KeptProposals(image.row["image_id"], image.row["image_uri"], proposals.masks, proposals.scores)


def _candidate_row(shard: Shard, image: Image, noun: dict, candidate: Candidate, proposals: list[int]) -> dict:
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
        "rank": candidate.rank,
        **{f"box_{edge}": int(value) for edge, value in zip(("x0", "y0", "x1", "y1"), box, strict=True)},
        "mask_rle": code.decode(),
        "mask_area": int(area),
        "proposal_index": index,
        "proposal_score": float(image.proposals.scores[index]),
        "clip_score": candidate.score,
        "noun_margin": candidate.noun_margin,
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
        "mask_margin": candidate.mask_margin,
    }
    del row["rank"]  # of the candidates table alone
    return row

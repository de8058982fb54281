"""The entries of a bank nearest to regions, by matrix products through all entries.

A scan in fp32 is exact. A scan in bf16 finds four candidates for each neighbour, whose similarities are then computed
in fp32: what it can miss is an entry as near as the last of the candidates, to the rounding of bf16 (2^-7 in cosine
similarity at most). On processors that multiply bf16 it takes a fraction of the time, most of which is to convert the
entries: these stay in memory, converted, as far as they may.

Shape suffixes: Q regions, N entries, B entries of a block, K neighbours or candidates, D embedding width, H hits.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from pipeline.bank.config import ScanPrecision
from pipeline.bank.reading import Bank

_BLOCK = 8192
"""Entries of a block in fp32; twice as many in bf16."""
_CONVERTED = 256
"""Entries that are converted at a time: what lies between the formats stays in the cache."""
_CANDIDATES = 4
"""Candidates of a bf16 scan for each neighbour that is asked for."""
_LEAST_CANDIDATES = 16


@dataclass(frozen=True)
class Neighbours:
    """The entries nearest to Q regions, the nearest first; with fewer entries than K the rest is absent."""

    rows: np.ndarray
    """int64 [Q,K], rows of the bank; -1 where there is none."""
    similarities: np.ndarray
    """float32 [Q,K], cosine similarities; -inf where there is none."""


class ExactSearch:
    """Compares regions with every entry of a bank. Not for several threads at once."""

    def __init__(self, bank: Bank, precision: ScanPrecision = "auto", memory_gb: float = 0.0):
        """memory_gb: of a bf16 scan, how much of the bank stays in memory, converted."""
        self._bank = bank
        self.precision: Literal["bf16", "fp32"] = _resolved(precision)
        self._dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the memory is mapped read-only; nobody writes to it
            self._parts = [_tensor(part_ND) for part_ND in bank.embeddings if len(part_ND)]
        self._block_size = min(_BLOCK * 4 // self._dtype.itemsize, max(1, bank.entries))
        of_a_block = 2 * self._block_size * bank.description.width
        self._may_keep = int(memory_gb * 1e9 / of_a_block) if self.precision == "bf16" else 0
        self._kept: list[torch.Tensor] = []  # the first blocks
        self._converted_RD = torch.empty((_CONVERTED, bank.description.width))

    @torch.inference_mode()
    def nearest(self, features_QD: np.ndarray, count: int, excluded: np.ndarray | None = None) -> Neighbours:
        """The `count` nearest entries of each region.

        Args:
            features_QD: float32, of unit length.
            excluded: rows that are not looked at, int64, rising.
        """
        queries = len(features_QD)
        wanted = count if self.precision == "fp32" else max(_CANDIDATES * count, _LEAST_CANDIDATES)
        scores_QK = torch.full((queries, wanted), -torch.inf)
        rows_QK = torch.full((queries, wanted), -1, dtype=torch.int64)
        features = torch.from_numpy(np.ascontiguousarray(features_QD, np.float32))
        if queries:
            asked_DQ = features.to(self._dtype).T.contiguous()
            scores = torch.empty((self._block_size, queries), dtype=self._dtype)  # one for all blocks
            for start, block_BD in self._blocks():
                scores_BQ = torch.mm(block_BD, asked_DQ, out=scores[: len(block_BD)])
                if excluded is not None:
                    first, end = np.searchsorted(excluded, (start, start + len(block_BD)))
                    scores_BQ[torch.from_numpy(excluded[first:end] - start)] = -torch.inf
                scores_QK, rows_QK = _merged(scores_QK, rows_QK, scores_BQ, start)
        if self.precision == "bf16":
            scores_QK = self._rescored(features, rows_QK)
        order_QK = torch.argsort(scores_QK, dim=1, descending=True, stable=True)[:, :count]
        return Neighbours(rows_QK.gather(1, order_QK).numpy(), scores_QK.gather(1, order_QK).numpy())

    def _blocks(self) -> Iterator[tuple[int, torch.Tensor]]:
        """First row and embeddings [B,D] of consecutive entries; the tensor may be overwritten by the next."""
        yield from zip(range(0, self._bank.entries, self._block_size), self._kept, strict=False)
        kept = len(self._kept)
        for index, block_BD in enumerate(self._converted(kept * self._block_size), kept):
            if index < self._may_keep:
                self._kept.append(block_BD)
            yield index * self._block_size, block_BD

    def _converted(self, start: int) -> Iterator[torch.Tensor]:
        """Blocks of the entries from a row on, in the format of the scan."""
        remaining, filled = self._bank.entries - start, 0
        fresh = partial(torch.empty, (self._block_size, self._bank.description.width), dtype=self._dtype)
        block_BD = fresh()
        for part_ND in self._parts:
            taken = min(start, len(part_ND))
            start -= taken
            while taken < len(part_ND):
                step = min(len(block_BD) - filled, len(part_ND) - taken, _CONVERTED)
                if self.precision == "bf16":  # torch converts by way of fp32 in half the time
                    self._converted_RD[:step].copy_(part_ND[taken : taken + step])
                    block_BD[filled : filled + step].copy_(self._converted_RD[:step])
                else:
                    block_BD[filled : filled + step].copy_(part_ND[taken : taken + step])
                filled, taken, remaining = filled + step, taken + step, remaining - step
                if filled == len(block_BD) or not remaining:
                    yield block_BD[:filled]
                    filled = 0
                    if len(self._kept) <= self._may_keep:
                        block_BD = fresh()

    def _rescored(self, features_QD: torch.Tensor, rows_QK: torch.Tensor) -> torch.Tensor:
        """Similarities in fp32 of candidates, float32 [Q,K]."""
        known, place_QK = torch.unique(rows_QK.clamp(min=0), return_inverse=True)
        vectors = torch.from_numpy(embeddings_of(self._bank, known.numpy()))
        scores_QK = torch.zeros(rows_QK.shape)
        for query, (feature_D, place_K) in enumerate(zip(features_QD, place_QK, strict=True)):
            scores_QK[query] = vectors[place_K] @ feature_D
        return scores_QK.masked_fill_(rows_QK < 0, -torch.inf)


def embeddings_of(bank: Bank, rows: np.ndarray) -> np.ndarray:
    """float32 [n,D] of some rows, in their order."""
    found = np.empty((len(rows), bank.description.width), np.float32)
    order = np.argsort(rows, kind="stable")
    ends = np.cumsum([len(part_ND) for part_ND in bank.embeddings])
    bounds = np.searchsorted(rows[order], ends)
    first = 0
    for part_ND, end, last in zip(bank.embeddings, ends, bounds, strict=True):
        if last > first:
            inside = order[first:last]
            found[inside] = part_ND[rows[inside] - (end - len(part_ND))]
            first = last
    return found


def _merged(
    scores_QK: torch.Tensor, rows_QK: torch.Tensor, scores_BQ: torch.Tensor, start: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The K best of what was found before and of a block. Of equal scores, those before stay."""
    hits_BQ = scores_BQ > scores_QK[:, -1].to(scores_BQ.dtype)
    if start == 0:  # nothing is known before: only the K best of the block can stay
        hits_BQ &= scores_BQ >= scores_BQ.topk(min(scores_QK.shape[1], len(scores_BQ)), dim=0).values[-1]
    entry_H, query_H = _hits(hits_BQ.numpy())
    if not len(entry_H):
        return scores_QK, rows_QK
    by_query = np.argsort(query_H, kind="stable")
    entry_H, query_H = entry_H[by_query], query_H[by_query]
    counts_Q = np.bincount(query_H, minlength=len(scores_QK))
    place_H = np.arange(len(query_H)) - np.repeat(np.cumsum(counts_Q) - counts_Q, counts_Q)
    found_scores = torch.full((len(scores_QK), int(counts_Q.max())), -torch.inf)
    found_rows = torch.full(found_scores.shape, -1, dtype=torch.int64)
    query, entry, place = (torch.from_numpy(index) for index in (query_H, entry_H, place_H))
    found_scores[query, place] = scores_BQ[entry, query].float()
    found_rows[query, place] = entry + start
    scores, rows = torch.cat([scores_QK, found_scores], dim=1), torch.cat([rows_QK, found_rows], dim=1)
    order = torch.sort(scores, dim=1, descending=True, stable=True).indices[:, : scores_QK.shape[1]]
    return scores.gather(1, order), rows.gather(1, order)


def _hits(hits_BQ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true, in their order. Mostly nothing is: eight flags are looked at together."""
    flags = hits_BQ.reshape(-1)
    words = flags[: len(flags) // 8 * 8].view(np.uint64)
    places = (np.flatnonzero(words)[:, None] * 8 + np.arange(8)).reshape(-1)
    places = np.concatenate([places[flags[places]], 8 * len(words) + np.flatnonzero(flags[8 * len(words) :])])
    return np.divmod(places, hits_BQ.shape[1])


def _tensor(part_ND: np.ndarray) -> torch.Tensor:
    """The same memory as a tensor."""
    return torch.frombuffer(part_ND.reshape(-1).view(np.uint8).data, dtype=torch.float16).view(part_ND.shape)


def _resolved(precision: ScanPrecision) -> Literal["bf16", "fp32"]:
    if precision != "auto":
        return precision
    multiplies = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if multiplies() else "fp32"

"""Batches of a phase, and of the held-out samples, out of loader processes."""

import multiprocessing
import os
import traceback
from collections.abc import Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import DamagedSampleError, damaged_sample
from pipeline.errors import UserError
from pipeline.regions.clip_input import ClipInput
from pipeline.training.augmentation import region_box, training_window
from pipeline.training.crops import Crops
from pipeline.training.decoding import decode_sample
from pipeline.training.order import PhaseBatches, PhaseSteps
from pipeline.training.ranks import Ranks
from pipeline.training.samples import DataConfig, Samples
from pipeline.training.shard_files import ShardFiles
from pipeline.training.whole_images import BesideRegions, ReplayBatches, WithImages

_ALONE = Ranks()


def training_loader(
    samples: Samples,
    config: DataConfig,
    steps: PhaseSteps,
    clip_input: ClipInput,
    ranks: Ranks = _ALONE,
    *,
    replay: ReplayBatches | None = None,
    pin_memory: bool = False,
) -> DataLoader:
    """This rank's batches of a phase from its first step that is not done to its end, over all epochs.

    Args:
        clip_input: what the crops will be cut to.
        replay: whole images beside the regions, of which `steps.batch_size` says the number.
        pin_memory: so that batches are copied to a GPU while it works.

    Returns:
        an iterable of dictionaries: `crops` (`Crops`: what `cut_batches` makes `pixels` and `masks` of), `nouns` int64
        [b] (index into `samples.nouns`), `unmasked` bool [b] (shown with background and an all-ones mask), `rows` int64
        [b], `weights` float32 [b] if pairs count differently, and `negatives` int64 [b,H] if there are hard negatives
        (index into `samples.texts`, -1 where a sample has fewer); with replay also what `WithImages` says. Iterating
        raises what reading raised in a loader process: UserError for a damaged sample, OSError of the storage.
    """
    shards = samples.table["shard"].to_numpy()
    batches = PhaseBatches(samples.train, shards[samples.train], steps, ranks, config.shuffle_shards)
    dataset = _Regions(samples, config, clip_input, steps.seed)
    if replay is not None:
        beside, with_images = BesideRegions(batches, steps, replay, ranks), WithImages(dataset, replay, steps.seed)
        return _loader(with_images, config, pin_memory, batch_sampler=beside)
    return _loader(dataset, config, pin_memory, batch_sampler=batches)


def validation_loader(
    samples: Samples,
    config: DataConfig,
    clip_input: ClipInput,
    ranks: Ranks = _ALONE,
    *,
    max_regions: int,
    batch_size: int,
    pin_memory: bool = False,
) -> DataLoader:
    """This rank's part of the held-out samples, cut as in mining: every W-th of them, without augmentation.

    Of more than `max_regions` held-out samples so many are taken, evenly spread.

    Batches are those of `training_loader`, of `batch_size` for this rank; the last one may be smaller, and the number
    of batches may differ by one between ranks.
    """
    dataset = _Regions(samples, config, clip_input, seed=None)
    count = min(max_regions, len(samples.held_out))
    chosen = samples.held_out[np.arange(count) * len(samples.held_out) // max(count, 1)]
    rows = [(0, int(row)) for row in chosen[ranks.rank :: ranks.world_size]]
    return _loader(dataset, config, pin_memory, sampler=rows, batch_size=batch_size)


class _Regions(Dataset):
    """Samples by (epoch, row); with `seed` None, cut as in mining."""

    def __init__(self, samples: Samples, config: DataConfig, clip_input: ClipInput, seed: int | None):
        self._config, self._clip_input, self._seed = config, clip_input, seed
        self._dataset, self._nouns = samples.dataset, samples.noun_of_row
        self._weights = None if seed is None else samples.weight_of_row
        self._negatives = None if seed is None else samples.hard_negatives
        table = samples.table
        self._keys = table["key"].combine_chunks()
        self._places = [table[name].to_numpy() for name in ("shard", "tar_offset", "tar_length")]
        self._checksums = table["crc32"].combine_chunks()
        self._files = ShardFiles(
            samples.dataset, samples.manifest_sha256, config.cache, cache_bytes=int(config.cache_gb * 1e9)
        )

    def __getitems__(self, batch: list[tuple[int, int]]) -> list[dict] | list[UserError | OSError]:
        try:
            self._files.fetch({int(self._places[0][row]) for _, row in batch})
            return [self._batch(batch)]
        except (UserError, OSError) as error:
            # What torch makes of an exception in a loader process has another text and no errno, so it travels as
            # a value; where it happened goes with it.
            error.add_note(traceback.format_exc())
            return [error]

    def _batch(self, batch: list[tuple[int, int]]) -> dict:
        images, masks, unmasked = zip(*(self._shown(epoch, row) for epoch, row in batch), strict=True)
        rows = np.array([row for _, row in batch])
        optional = {} if self._weights is None else {"weights": torch.from_numpy(self._weights[rows])}
        if self._negatives is not None:
            optional["negatives"] = torch.from_numpy(self._negatives.of_rows(rows))
        return {
            "crops": Crops.of(images, masks, self._clip_input, self._config.fill),
            "nouns": torch.from_numpy(self._nouns[rows]),
            "unmasked": torch.tensor(unmasked),
            "rows": torch.from_numpy(rows),
            **optional,
        }

    def _shown(self, epoch: int, row: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """What is shown of a sample: pixels uint8 [h,w,3], mask bool [h,w], and whether that is all of them."""
        image, mask = self._read(row)
        if self._seed is None:
            (x0, y0, x1, y1), unmasked = region_box(mask, self._config.expand), False
        else:
            (x0, y0, x1, y1), unmasked = training_window(mask, self._config, seed=(self._seed, epoch, row))
        shown = mask[y0:y1, x0:x1]
        return image[y0:y1, x0:x1], np.ones_like(shown) if unmasked else shown, unmasked

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        shard, offset, length = (int(column[row]) for column in self._places)
        try:
            image, mask = self._decode(shard, offset, length, self._keys[row].as_py(), self._checksums[row].as_py())
        except DamagedSampleError as error:
            raise UserError(
                f"dataset: {damaged_sample(Layout(self._dataset), shard, offset, error)}, or leave damaged shards out "
                "with data.skip_damaged"
            ) from error
        return image.permute(1, 2, 0).numpy(), mask.numpy()

    def _decode(
        self, shard: int, offset: int, length: int, key: str, crc32: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        try:
            return decode_sample(self._files.read(shard, offset, length), key, crc32, length)
        except DamagedSampleError:
            if not self._files.forget(shard):
                raise
        data = self._files.read(shard, offset, length)  # the cache was damaged, or not
        return decode_sample(data, key, crc32, length)


class _RaisingLoader(DataLoader):
    """A loader that raises the exceptions that come in place of batches."""

    def __iter__(self) -> Iterator[dict]:  # type: ignore[override]  # torch promises a class of its own; it is iterated
        for batch in super().__iter__():
            if isinstance(batch, Exception):
                raise batch
            yield batch


def _loader(dataset: Dataset, config: DataConfig, pin_memory: bool, **options: Any) -> DataLoader:
    # A Ray worker has gRPC's threads, and perhaps a CUDA context and s3fs's event loop: a fork of it inherits locks
    # that nobody will release. So the processes come from a clean server, which imports everything once (Ray too: it
    # is what the main module of a Ray worker imports, and every process imports the main module anew).
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ray", __name__])
    return _RaisingLoader(
        dataset,
        num_workers=config.loaders,
        multiprocessing_context=context if config.loaders else None,
        worker_init_fn=partial(_start_loader, dict(os.environ)),
        collate_fn=_only,
        pin_memory=pin_memory,
        **options,
    )


def _start_loader(environment: dict[str, str], _: int) -> None:
    """In a new loader process. (torch has set its threads to one.)"""
    cv2.setNumThreads(0)
    os.environ.update(environment)  # until now it was that of the server's start
    # torch's own watch looks at the parent process, which is the server, and the server lives as long as its children.
    Thread(target=_die_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _die_with(worker: BaseProcess) -> None:
    worker.join()
    os._exit(1)


def _only(batches: list[dict] | list[Exception]) -> dict | Exception:
    [batch] = batches
    return batch

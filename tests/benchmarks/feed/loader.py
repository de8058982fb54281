"""The training loader: samples that one core reads and decodes in a second."""

import contextlib
import multiprocessing
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch

from pipeline.training.loader import training_loader
from tests.benchmarks.feed.versions import report

OLD = find_spec("pipeline.soft_masks") is not None
BATCH, EPOCHS, SIZE = 64, 8, 224
_DRAWN = 512  # samples
_WARM = 4  # batches while the loader process starts and fills up


def old_batches(dataset: str, loaders: int) -> Any:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    from pipeline.training.samples import DataConfig, select_samples

    config = DataConfig(held_out_share=0, loaders=loaders)
    samples = select_samples(dataset, config)
    colours = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    return training_loader(samples, config, seed=0, epochs=EPOCHS, batch_size=BATCH, image_size=SIZE, **colours)


def new_batches(dataset: str, loaders: int) -> Any:
    from pipeline.regions.clip_input import ClipInput
    from pipeline.training.config import DataConfig
    from pipeline.training.order import PhaseSteps
    from pipeline.training.samples import select_samples

    config = DataConfig(held_out_share=0, loaders=loaders)
    steps = PhaseSteps(seed=0, epochs=EPOCHS, batch_size=BATCH)
    return training_loader(select_samples(dataset, config), config, steps, ClipInput(SIZE))


def cutting(batches: list[dict[str, Any]]) -> float:
    """CPU seconds in which batches become CLIP inputs in the training process; the old loader has done that."""
    if OLD:
        return 0.0
    from pipeline.training.crops import cut_batches

    started = time.process_time()
    for _ in cut_batches(batches, torch.device("cpu")):
        pass
    return time.process_time() - started


def measure(dataset: str) -> dict[str, float]:
    """Samples/s and core in a loader process, by its CPU time while it is busy with the same work all the time."""
    batches = iter((old_batches if OLD else new_batches)(dataset, loaders=1))
    kept = [next(batches) for _ in range(_WARM)]
    [process] = [psutil.Process(child.pid) for child in multiprocessing.active_children()]
    cpu, own, samples = _cpu(process), time.process_time(), 0
    ended, counted = cpu, 0
    for batch in batches:
        samples += len(batch["rows"])
        with contextlib.suppress(psutil.Error):
            # Read while the process lives and works; by how many batches it is ahead is the same at the start.
            if process.status() != psutil.STATUS_ZOMBIE:
                ended, counted = _cpu(process), samples
    trainer = (time.process_time() - own) / samples
    loader = (ended - cpu) / counted
    cut = cutting(kept) / sum(len(batch["rows"]) for batch in kept)
    return {
        "samples_per_cpu_second": 1 / loader,
        "trainer_us_per_sample": trainer * 1e6,
        "cutting_us_per_sample": cut * 1e6,
        "samples_per_cpu_second_with_cutting": 1 / (loader + cut),
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main(folder: str, coco: str = "") -> None:
    """Write shards of drawn crops, or mine a COCO dataset by its annotations, if that is not done; and read them."""
    torch.set_num_threads(1)
    if not Path(folder).is_dir():
        if coco:
            from tests.benchmarks.feed.mining import mine_annotated

            mine_annotated(Path(folder), Path(coco))
        else:
            from tests.benchmarks import train

            train.write_shards(Path(folder), _DRAWN)
    report(measure(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""python -m tests.training.endless_loading DATASET: loads batches until it is killed. Prints a line with its first."""

import sys

from pipeline.regions.clip_input import ClipInput
from pipeline.training.loader import training_loader
from pipeline.training.order import PhaseSteps
from pipeline.training.samples import DataConfig, select_samples


def main() -> None:
    samples = select_samples(sys.argv[1], DataConfig())
    steps = PhaseSteps(seed=0, epochs=10**6, batch_size=2)
    loader = training_loader(samples, DataConfig(loaders=2), steps, ClipInput(8))
    for step, _ in enumerate(loader):
        if step == 0:
            print("loading", flush=True)


if __name__ == "__main__":
    main()

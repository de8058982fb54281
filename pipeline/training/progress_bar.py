"""The bar that tells how far training is: workers send their rows, a thread of the driver shows them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from ray.util.queue import Queue
from tqdm import tqdm

from pipeline.training.phases import Phase


@contextmanager
def shown_progress(phases: list[Phase]) -> Iterator[Queue]:
    """A queue that takes rows of metrics and shows them while the block runs."""
    queue = Queue(actor_options={"num_cpus": 0})
    thread = Thread(target=_show, args=(queue, phases), daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join()
        queue.shutdown()


def _show(queue: Queue, phases: list[Phase]) -> None:
    first_step, total = {}, 0
    for phase in phases:
        first_step[phase.name] = total
        total += phase.steps
    terminal = sys.stderr.isatty()
    bar = tqdm(desc="training", total=total, unit=" steps", mininterval=0.1 if terminal else 10.0)
    first = True
    while (row := queue.get()) is not None:
        done = first_step[row["stage"]] + row["step"]
        if first:
            bar.initial, first = done, False  # a resumed run
        bar.update(done - bar.n)  # backwards after the loss of a worker
        if "accuracy_top1" in row:
            bar.write(
                f"{row['stage']}, after epoch {row['epoch']:g}: {row['accuracy_top1']:.1%} of the held-out regions are "
                f"nearest to their noun ({row['accuracy_top5']:.1%} among five)",
                file=sys.stderr,
            )
        if "retention" in row:
            bar.write(
                f"{row['stage']}, after epoch {row['epoch']:g}: retention {row['retention']:.1%}", file=sys.stderr
            )
        if "loss" in row:
            bar.set_postfix_str(
                f"{row['stage']}, loss {row['loss']:.4f}, {row['regions_per_second']:.0f} regions/s, "
                f"{row['waiting_share']:.1%} waiting"
            )
    bar.close()

"""Captions per second of the noun extractor, on one core and on two, and with phrases.

    python -m tests.benchmarks.nouns [--captions FILE] [--count 12000]

--captions: a COCO captions file, .json or .json.gz; without it, captions are generated. Wall-clock numbers need two
free cores; those by CPU time (of two processes: what they would do if each had a core) need none.
"""

import argparse
import multiprocessing
import os
import random
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

# Before numpy is loaded: one process is to stand for one core.
os.environ["OMP_NUM_THREADS"] = "1"

from pipeline.nouns import NounExtractor
from pipeline.nouns.training.corpus import read_captions

CALL = 1024  # captions per call of extract, about the images of a few shards

THINGS = ["man", "dog", "bus", "pizza", "laptop", "horse", "kite", "fire hydrant", "tennis racket"]
SCENES = ["street", "field", "table", "kitchen", "parking lot", "skate park", "train station"]
LOOKS = ["red", "small", "old", "wooden", "black", "large", "young", "white"]
DOES = ["sitting on", "standing next to", "parked near", "lying beside", "placed on", "seen from"]


def generated(count: int) -> list[str]:
    rng = random.Random(0)

    def phrase(nouns: list[str]) -> str:
        return f"a {rng.choice(LOOKS)} {rng.choice(nouns)}"

    return [
        f"{phrase(THINGS).capitalize()} {rng.choice(DOES)} {phrase(THINGS)} in {phrase(SCENES)}." for _ in range(count)
    ]


def extract_all(extractor: NounExtractor, captions: list[str]) -> None:
    for start in range(0, len(captions), CALL):
        extractor.extract(captions[start : start + CALL])


def work(captions: list[str], start: Barrier, done: Barrier, cpu: Queue) -> None:
    extractor = NounExtractor("bundled")
    extractor.extract(captions[:CALL])
    start.wait()
    began = time.process_time()
    extract_all(extractor, captions)
    spent = time.process_time() - began
    done.wait()
    cpu.put(spent)


def measure(captions: list[str], processes: int) -> tuple[float, float]:
    """Wall-clock seconds from the start of all workers to the end of the last, and CPU seconds of all together.

    Each worker gets an equal part of the captions and has loaded its pipeline before the clock starts.
    """
    context = multiprocessing.get_context("spawn")
    start, done, cpu = context.Barrier(processes + 1), context.Barrier(processes + 1), context.Queue()
    workers = [
        context.Process(target=work, args=(captions[number::processes], start, done, cpu))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    done.wait()
    wall = time.perf_counter() - began
    spent = sum(cpu.get() for _ in workers)
    for worker in workers:
        worker.join()
    return wall, spent


def phrases_and_nouns(captions: list[str], repeats: int) -> tuple[float, float]:
    """CPU seconds of one core with phrases and without, the least of as many runs, which take turns."""
    extractors = [NounExtractor("bundled", phrases=phrases) for phrases in (True, False)]
    spent: list[list[float]] = [[], []]
    for extractor in extractors:
        extractor.extract(captions[:CALL])
    for _ in range(repeats):
        for extractor, seconds in zip(extractors, spent, strict=True):
            began = time.process_time()
            extract_all(extractor, captions)
            seconds.append(time.process_time() - began)
    return min(spent[0]), min(spent[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--count", type=int, default=12_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind; the best counts")
    args = parser.parse_args()
    captions = read_captions(args.captions) if args.captions else generated(args.count)
    random.Random(0).shuffle(captions)
    captions = captions[: args.count]

    one, two = ([measure(captions, processes) for _ in range(args.repeats)] for processes in (1, 2))
    wall_one, wall_two = (min(wall for wall, _ in runs) for runs in (one, two))
    cpu_one, cpu_two = (min(cpu for _, cpu in runs) for runs in (one, two))
    count = len(captions)
    print(f"{count} captions, bundled pipeline   wall clock   CPU time")
    print(f"one process, captions/s       {count / wall_one:12.0f} {count / cpu_one:10.0f}")
    print(f"two processes, captions/s     {count / wall_two:12.0f} {2 * count / cpu_two:10.0f}")
    print(f"ratio                         {wall_one / wall_two:12.2f} {2 * cpu_one / cpu_two:10.2f}")
    phrases, nouns = phrases_and_nouns(captions, args.repeats)
    print(f"with phrases, captions/s                   {count / phrases:10.0f}")
    print(f"ratio phrases / nouns                      {nouns / phrases:10.2f}")


if __name__ == "__main__":
    main()

"""How long the report of a large dataset takes, and how fast its page answers.

    python -m tests.benchmarks.report [--pairs 100000] [--samples 5000]

Makes a dataset of that many pairs in the real files (random regions and scores), writes its report in a process of its
own, and, where Chromium is installed, measures what an action in the page takes until the next frame.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser import chromium_program, open_chromium
from tests.report.made_dataset import make_dataset

_NOUNS = 2000
_IMAGES_PER_SHARD = 256
_NOUNS_PER_IMAGE = 4

_WRITE = """
import sys, time
from pathlib import Path
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
started, processor = time.perf_counter(), time.process_time()
write_dataset_report(sys.argv[1], sys.argv[2], DatasetReportOptions(samples=int(sys.argv[3])))
seconds, processor = time.perf_counter() - started, time.process_time() - processor
[line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
peak = int(line.split()[1]) * 1024 / 1e6
print(f"report: {seconds:.1f} s ({processor:.1f} s of CPU), peak {peak:.0f} MB")
"""

# Seconds from an action to the frame after it, the median of ten.
_ACT = """async ([code, times]) => {
  const act = new Function(code), found = [];
  for (let time = 0; time < times; time += 1) {
    const started = performance.now();
    act();
    document.body.getBoundingClientRect();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    found.push(performance.now() - started);
  }
  return found.sort((a, b) => a - b)[Math.floor(times / 2)];
}"""
_CHANGE = "const one = document.getElementById('{}'); one.value = one.value === '{}' ? '{}' : '{}';"
_ACTIONS = {
    "search": _CHANGE.format("noun", "noun1", "noun12", "noun1") + "one.dispatchEvent(new Event('input'))",
    "sort": _CHANGE.format("sort", "score", "area", "score") + "one.dispatchEvent(new Event('change'))",
    "filter": _CHANGE.format("score-from", "0.2", "0.3", "0.2") + "one.dispatchEvent(new Event('input'))",
    "next page": "document.getElementById('next').click()",
    "slider": _CHANGE.format("slider", "50", "90", "50") + "one.dispatchEvent(new Event('input'))",
    "scroll": "scrollBy(0, 600)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        shards = max(1, round(options.pairs / (_IMAGES_PER_SHARD - 1) / _NOUNS_PER_IMAGE))
        nouns = [f"noun{number}" for number in range(_NOUNS)]
        make_dataset(
            dataset, nouns, shards=shards, images_per_shard=_IMAGES_PER_SHARD, nouns_per_image=_NOUNS_PER_IMAGE
        )
        print(f"{shards * (_IMAGES_PER_SHARD - 1) * _NOUNS_PER_IMAGE} pairs; load {os.getloadavg()[0]:.1f}")
        arguments = [str(dataset), folder, str(options.samples)]
        subprocess.run([sys.executable, "-c", _WRITE, *arguments], check=True)
        page = Path(folder) / "index.html"
        print(f"page: {page.stat().st_size / 1e6:.1f} MB")
        if chromium_program():
            _measure_page(page)


def _measure_page(path: Path) -> None:
    with open_chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        started = time.perf_counter()
        page.goto(path.as_uri())
        print(f"opened in {time.perf_counter() - started:.2f} s")
        page.select_option("#group", "all")
        for name, code in _ACTIONS.items():
            print(f"{name}: {page.evaluate(_ACT, [code, 10]):.0f} ms")


if __name__ == "__main__":
    main()

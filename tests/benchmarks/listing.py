"""Memory and speed of planning ten million caption rows from Parquet.

    python -m tests.benchmarks.listing [--rows 10000000] [--pictures]

writes that many rows (five captions for each image, in an order that scatters the captions of an
image over the whole table) to a temporary folder, lists them in a fresh process, and prints the
peak resident memory of that process and the rows per second. With --pictures each row has a caption
and the bytes of a picture, as Hugging Face's `datasets` writes them; these are 200 random bytes.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.captions import CaptionsConfig, open_captions, write_listing

CAPTIONS_PER_IMAGE = 5
ROWS_PER_FILE = 1_000_000
ROWS_PER_CHUNK = 100_000
IMAGES_PER_SHARD = 256
MEMORY_LIMIT_MB = 1000
PICTURE_BYTES = 200
ROWS_PER_GROUP = 1000  # as `datasets` writes them, or fewer


def write_table(folder: Path, rows: int) -> None:
    images = rows // CAPTIONS_PER_IMAGE
    # Steps of a prime that does not divide the number of images visit all of them, none twice.
    step = 1_000_003
    words = np.array([f"word{number}" for number in range(1000)])
    schema = pa.schema([("image", pa.string()), ("caption", pa.string())])
    for file_start in range(0, rows, ROWS_PER_FILE):
        with pq.ParquetWriter(folder / f"{file_start:010d}.parquet", schema) as writer:
            for start in range(file_start, min(file_start + ROWS_PER_FILE, rows), ROWS_PER_CHUNK):
                row = np.arange(start, min(start + ROWS_PER_CHUNK, rows))
                image = (row % images) * step % images
                a, b, c = (words[row * factor % 997] for factor in (3, 5, 7))
                writer.write_table(
                    pa.table(
                        {
                            "image": [f"train/{number:012d}.jpg" for number in image],
                            "caption": [
                                f"a {x} next to a {y} on a {z}, seen {number}"
                                for x, y, z, number in zip(a, b, c, row, strict=True)
                            ],
                        },
                        schema=schema,
                    )
                )


def write_pictures(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", picture), ("caption", pa.string())])
    for file_start in range(0, rows, ROWS_PER_FILE):
        with pq.ParquetWriter(folder / f"{file_start:010d}.parquet", schema) as writer:
            for start in range(file_start, min(file_start + ROWS_PER_FILE, rows), ROWS_PER_GROUP):
                row = np.arange(start, min(start + ROWS_PER_GROUP, rows))
                data = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(PICTURE_BYTES), len(row), [None, pa.py_buffer(rng.bytes(PICTURE_BYTES * len(row)))]
                )
                names = pa.array([f"{number:09d}.jpg" for number in row])
                pictures = pa.StructArray.from_arrays([data.cast(pa.binary()), names], fields=list(picture))
                captions = pa.array([f"a word{number % 997} beside a word{number % 991}" for number in row])
                writer.write_table(pa.table([pictures, captions], schema=schema), row_group_size=ROWS_PER_GROUP)


def measure(folder: Path, rows: int, images: int) -> None:
    config = CaptionsConfig("table", str(folder / "table"), images=str(folder))
    before = peak_memory_mb()
    started = time.perf_counter()
    listing = write_listing(open_captions(config), str(folder / "output"), IMAGES_PER_SHARD)
    seconds = time.perf_counter() - started
    if listing.captions != rows or listing.images != images:
        raise SystemExit(f"{rows} rows gave {listing}")
    print(
        f"{rows} rows, {listing.images} images, {listing.shards} shards: "
        f"peak {peak_memory_mb():.0f} MB ({before:.0f} MB of it before the listing began), "
        f"{rows / seconds:.0f} rows/s"
    )
    if peak_memory_mb() > MEMORY_LIMIT_MB:
        raise SystemExit(f"more than {MEMORY_LIMIT_MB} MB")


def peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--pictures", action="store_true", help="each row has its picture's bytes")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        images = arguments.rows if arguments.pictures else arguments.rows // CAPTIONS_PER_IMAGE
        measure(arguments.measure, arguments.rows, images)
    else:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "table").mkdir()
            write = write_pictures if arguments.pictures else write_table
            write(Path(folder) / "table", arguments.rows)
            command = [sys.executable, "-m", "tests.benchmarks.listing", "--measure", folder]
            command += ["--rows", str(arguments.rows), *(["--pictures"] if arguments.pictures else [])]
            sys.exit(subprocess.run(command).returncode)

"""Store what the small outputs are now, after a RECIPE was raised.

python -m tests.golden [mine] [train] [evaluate] [segment]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tempfile
from pathlib import Path

from jobs.ray_connection import connect
from pipeline.configuration.recipe import RECIPES
from tests.golden.inputs import write_inputs
from tests.golden.outputs import OUTPUTS
from tests.golden.stored import read_stored, versions, write_stored


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(OUTPUTS)}; all by default")
    kinds = parser.parse_args().kinds or list(OUTPUTS)
    connect()
    stored = read_stored()
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        write_inputs(inputs)
        for kind in kinds:
            found = OUTPUTS[kind](inputs, Path(folder) / kind)
            stored[kind] = {"recipe": RECIPES[kind], "versions": versions(), "found": found}
            write_stored(stored)


if __name__ == "__main__":
    main()

"""Setting up on a fresh machine: what `make` does, with uv, against pip with the same lock file (target half the time).

    python -m tests.benchmarks.setup

Both download everything anew, one after the other, into virtual environments in a temporary folder of about 14 GB.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import REPOSITORY


def main() -> None:
    """Print seconds and ratio."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        by_make = _seconds(
            ["make", f"VENV={made}", f"{made}/installed"], os.environ | {"UV_CACHE_DIR": f"{folder}/cache"}
        )
        plain = Path(folder) / "plain"
        subprocess.run([sys.executable, "-m", "venv", plain], check=True)
        install = [
            plain / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-cache-dir",
            "--no-deps",
            "--require-hashes",
        ]
        by_pip = _seconds([*install, "--requirement", "requirements.lock"], dict(os.environ))
    print(f"make: {by_make:.0f} s, pip: {by_pip:.0f} s, ratio {by_make / by_pip:.2f} (target 0.5)")


def _seconds(command: list, environment: dict[str, str]) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()

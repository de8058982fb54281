"""The two versions that are compared: this checkout, and a commit of its history that is written beside it."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

BASELINE = "a2f7a3d"
"""The commit before images were fed in bulk."""
REPOSITORY = Path(__file__).parents[3]
_HERE = Path(__file__).parent.relative_to(REPOSITORY)


@dataclass(frozen=True)
class Version:
    """A tree of this project whose code the same interpreter runs."""

    name: str
    tree: Path

    def measure(self, probe: str, *arguments: str) -> dict[str, float]:
        """What a module of this package measures in a process of its own, by the code of this tree.

        Raises:
            RuntimeError: the module failed, or took its `pipeline` from elsewhere.
        """
        environment = os.environ | {"PYTHONPATH": str(self.tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command = [sys.executable, "-m", f"tests.benchmarks.feed.{probe}", *arguments]
        done = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{probe} of {self.name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        result = json.loads(done.stdout.splitlines()[-1])
        if Path(result["pipeline"]).parents[1] != self.tree:
            raise RuntimeError(f"{probe} of {self.name} ran {result['pipeline']}, not the code in {self.tree}")
        return result["figures"]


def report(figures: dict[str, float]) -> None:
    """What a measuring module prints at its end, for `Version.measure`."""
    import pipeline

    print(json.dumps({"pipeline": str(Path(str(pipeline.__file__)).resolve()), "figures": figures}))


def both(folder: Path) -> list[Version]:
    """The old version, written into a folder, and the new one, which is this checkout.

    The old one gets these modules beside its own, so that they are imported by the same names.
    """
    done = subprocess.run(["git", "archive", "--format=tar", BASELINE], cwd=REPOSITORY, capture_output=True)
    if done.returncode:
        sys.exit(
            f"{BASELINE}, to which everything is compared, is not in the history of {REPOSITORY}: a shallow clone, or "
            f"none? `git fetch --unshallow` brings it. (git: {done.stderr.decode().strip()})"
        )
    tree = (folder / BASELINE).resolve()
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(tree, filter="data")
    shutil.copytree(REPOSITORY / _HERE, tree / _HERE, ignore=shutil.ignore_patterns("__pycache__"))
    return [Version(BASELINE, tree), Version("this checkout", REPOSITORY)]

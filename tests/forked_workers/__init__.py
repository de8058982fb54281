"""Ray workers of the tests that begin as forks, and so sooner: see `sitecustomize.py`."""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

FOLDER = Path(__file__).resolve().parent


def environment(base: Path) -> dict[str, str]:
    """Variables for whatever starts Ray, whose workers are to be forks. Starts the server if nobody has.

    A worker is a child of the server, not of Ray: no variables for Ray that is to be killed, or that has a network of
    its own. Nor where a package other than huggingface_hub is to find something in its environment when it is imported.

    Args:
        base: a folder of all processes that share the tests.
    """
    address = base / "forked-workers"
    with FileLock(f"{address}.lock"):
        if not (started := Path(f"{address}.started")).exists():
            started.touch()
            command = [sys.executable, str(FOLDER / "fork_server.py"), str(address)]
            silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
            subprocess.Popen(command, start_new_session=True, **silent)
    path = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
    return {"OVSEG_FORKED_WORKERS": str(address), "PYTHONPATH": path}

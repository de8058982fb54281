"""Lets Ray's workers begin as forks of a process that has imported the large packages already.

A Ray worker that uses CLIP imports packages for five seconds of a core, and a small job of the tests has six workers:
of what such tests take, most is that. Python runs this file at its start where its folder is on PYTHONPATH
(`tests/conftest.py`); whatever is no Ray worker goes on untouched, and so does a worker while nobody answers.

`fork_server.py` forks; the worker is then a child of the server, with the environment, the arguments, the open standard
streams and the folder of this process, which ends.
"""

import os
import sys

SOCKET = os.environ.get("OVSEG_FORKED_WORKERS")


def _ask() -> None:
    import json
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(60)
        try:
            server.connect(SOCKET)
            worker = {"argv": sys.orig_argv[_SCRIPT:], "path": sys.path, "cwd": os.getcwd()}
            worker["environ"] = dict(os.environ)
            socket.send_fds(server, [b"\0"], [0, 1, 2])
            server.sendall(json.dumps(worker).encode() + b"\n")
            answer = server.recv(1)
        except OSError:
            return
    if answer:
        os._exit(0)


if SOCKET:
    _SCRIPT = next((place for place, argument in enumerate(sys.orig_argv) if argument.endswith(".py")), 0)
    if sys.orig_argv[_SCRIPT].endswith(os.path.join("workers", "default_worker.py")):
        _ask()

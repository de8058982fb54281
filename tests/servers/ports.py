"""Ports for servers of tests."""

import errno
import random
import socket

# Below those that the kernel gives to whoever asks for any (Linux: from 32768), and above those of Ray's workers (to
# 19999): between the choice and the moment when a server listens, nobody is given the same one.
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    while True:
        port = random.SystemRandom().choice(_PORTS)  # tests seed the other one
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port

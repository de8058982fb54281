"""Lines in the log of a Ray worker: `ray logs`, or the worker's page in Ray's dashboard, show them."""

import functools
import logging


@functools.cache
def worker_log(name: str) -> logging.Logger:
    """A logger of this process that writes to its standard error. Ray gives loggers of workers no handler.

    Args:
        name: of the module.
    """
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
    return log

"""Counts what a GPU would be asked to do, on a machine without one."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# They give out memory, and start nothing.
_ALLOCATIONS = ("aten.empty", "aten.new_empty", "aten.empty_like", "aten.empty_strided", "aten.lift_fresh")
# With these, the host has to know a value: it waits until the device has come so far.
_WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.is_nonzero", "aten.equal")


class Operations(TorchDispatchMode):
    """Torch operations of this thread that start a kernel: all but views and allocations.

    An operation on a device takes no time of the host but that of its start, so what operations take here is not
    counted as the host's.

    Attributes:
        called: number of all operations, views and allocations too.
        started: number of each operation that starts a kernel.
        waits: operations among them whose result the host has to see.
        seconds: CPU seconds of this thread inside operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.called = 0
        self.started: Counter[str] = Counter()
        self.waits = 0
        self.seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        began = time.thread_time()
        result = func(*args, **(kwargs or {}))
        name = str(func)
        self.called += 1
        if not func.is_view and not name.startswith(_ALLOCATIONS):
            self.started[name] += 1
            # A boolean index is a search for what is true.
            boolean = name.startswith(("aten.index.", "aten.index_put")) and any(
                isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1]
            )
            self.waits += boolean or name.startswith(_WAITS)
        self.seconds += time.thread_time() - began
        return result


class Transfers(TorchFunctionMode):
    """Bytes of tensors that are sent to a device, by `.to` with a device: on a CPU they stay where they are.

    Attributes:
        sent: bytes of each tensor, in order.
        fetched: how often something came back (`.cpu()`), for which the host waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.fetched = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.to and any(isinstance(to, torch.device | str) for to in (*args[1:], *kwargs.values())):
            self.sent.append(args[0].nbytes)
        self.fetched += func is torch.Tensor.cpu
        return func(*args, **kwargs)


class HostTime:
    """CPU seconds of this thread, without those of operations.

    Attributes:
        seconds: of the host alone.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._began = time.thread_time() - self._operations.seconds
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.thread_time() - self._operations.seconds - self._began

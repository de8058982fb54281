"""What is counted as waiting."""

from types import SimpleNamespace

import pytest
import torch

from pipeline.training import window as window_module
from pipeline.training.step import StepResult
from pipeline.training.window import Window


def test_only_the_time_until_a_batch_is_there_is_waiting(monkeypatch):
    """Not the time of the steps, nor of what is done to a batch when it is there."""
    now = [100.0]
    monkeypatch.setattr(window_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def batches():
        for _ in range(3):
            now[0] += 5
            yield {}

    window = Window(samples=None)
    for step, _ in enumerate(window.timed(batches())):
        now[0] += 3
        window.add(step, StepResult(torch.tensor(1.0), torch.ones(1, dtype=torch.bool)), torch.tensor([0]))
    measured = window.close()
    assert (measured.steps, measured.seconds) == (3, 24)
    assert measured.waiting_share == pytest.approx(15 / 24)
    now[0] += 4
    window.add(3, StepResult(torch.tensor(1.0), torch.ones(1, dtype=torch.bool)), torch.tensor([0]))
    assert window.close().waiting_share == 0, "of the window before"

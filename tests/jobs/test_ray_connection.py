"""Ray that is slow to start on this machine."""

import pytest
import ray

from jobs import ray_connection
from pipeline.errors import IncompleteError

SLOW = "The current node timed out during startup. This could happen because the GCS has become overloaded."


def failing(monkeypatch, times: int, message: str) -> list[dict]:
    """Starts of Ray that fail so often before one is carried out; returns what they are asked for."""
    asked: list[dict] = []

    def init(**options) -> None:
        asked.append(options)
        if len(asked) <= times:
            raise Exception(message)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)  # that of other tests stays
    return asked


def test_daemons_that_are_slow_once_are_started_again(monkeypatch, capsys):
    asked = failing(monkeypatch, 1, SLOW)
    ray_connection.connect()
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert "started again" in capsys.readouterr().err


def test_it_is_given_up(monkeypatch):
    asked = failing(monkeypatch, 100, SLOW)
    with pytest.raises(IncompleteError, match="Ray does not start here: The current node timed out"):
        ray_connection.connect()
    assert len(asked) == 3


def test_what_is_not_slow_is_not_tried_again(monkeypatch):
    asked = failing(monkeypatch, 100, "no such resource")
    with pytest.raises(IncompleteError, match="no such resource"):
        ray_connection.connect()
    assert len(asked) == 1

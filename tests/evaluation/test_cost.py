"""What an evaluation took, as its chunks have written it."""

import json

import pytest

from pipeline.evaluation.cost import Stopwatch, cost_in_words, read_cost, write_statistics


def test_stages_are_counted_once(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pipeline.evaluation.cost.time.perf_counter", lambda: clock[0])
    stopwatch = Stopwatch()

    def read():
        for _ in range(2):
            with stopwatch.stage("read"):
                clock[0] += 1.0
            clock[0] += 10.0  # proposing
            yield

    for _ in stopwatch.each("propose", read()):
        clock[0] += 100.0  # counting; of what is classified in another thread nothing is seen here
    assert stopwatch.seconds() == {"read": 2.0, "propose": 20.0, "classify": 0.0, "count": 222.0, "all": 222.0}


def test_chunks_are_added_and_the_worst_worker_is_named(tmp_path):
    assert read_cost(str(tmp_path)) is None
    write_statistics(str(tmp_path), 0, 3, Stopwatch(), "cpu")
    [path] = (tmp_path / "statistics").iterdir()
    row = json.loads(path.read_text())
    assert row["peak_mb"] > 10
    assert (row["images"], row["peak_gpu_mb"], row["device"]) == (3, None, "cpu")
    seconds = dict(zip(("read", "propose", "classify", "count", "all"), (0.6, 1.2, 3.0, 0.9, 4.5), strict=True))
    path.write_text(json.dumps(row | {"seconds": seconds, "peak_mb": 500.0}))
    other = row | {"images": 1, "seconds": dict.fromkeys(seconds, 0.1), "peak_mb": 900.0, "device": "H100"}
    (path.parent / "000001.json").write_text(json.dumps(other | {"peak_gpu_mb": 70.0}))
    cost = read_cost(str(tmp_path))
    assert cost.images == 4
    assert cost.seconds == pytest.approx({name: (value + 0.1) / 4 for name, value in seconds.items()})
    assert (cost.peak_mb, cost.peak_gpu_mb, cost.devices) == (900.0, 70.0, ["H100", "cpu"])
    assert "1.150 s an image" in cost_in_words(cost)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"images": 0}', '{"images": 1, "peak_gpu_mb": null}', "[" * 100_000]
)
def test_what_is_damaged_tells_nothing(tmp_path, content):
    (tmp_path / "statistics").mkdir()
    (tmp_path / "statistics" / "000000.json").write_text(content)
    assert read_cost(str(tmp_path)) is None

"""Workers that hang end themselves, others don't."""

import subprocess
import sys

import pytest

from pipeline.dataset.layout import Layout
from pipeline.mining.faults.watchdog import StragglerLimit, write_seconds_per_image

HANGS = {
    # Backtracks for hours, and lets no other thread run meanwhile.
    "in foreign code": """
import re
from pipeline.mining.faults.watchdog import Watchdog
with Watchdog(lambda: 0.5):
    re.match(r"(a+)+$", "a" * 60 + "b")
""",
    "waiting for nothing": """
import threading
from pipeline.mining.faults.watchdog import Watchdog
with Watchdog(lambda: 0.5) as dog:
    dog.announce()
    threading.Event().wait()
""",
}
WORKS = """
import hashlib, time
from pipeline.mining.faults.watchdog import Watchdog
end = time.monotonic() + 2
with Watchdog(lambda: 1) as dog:
    while time.monotonic() < end:
        hashlib.sha256(bytes(10**6))
        dog.announce()
with Watchdog(lambda: 0.2):
    pass
with Watchdog(lambda: float("inf")):
    pass
end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
print("done")
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("where", HANGS)
def test_a_process_that_hangs_ends_and_says_where(where):
    ended = run(HANGS[where])
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert 'File "<string>"' in ended.stderr


def test_a_process_that_works_goes_on():
    ended = run(WORKS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_the_limit_follows_the_peers(tmp_path):
    layout = Layout(str(tmp_path))
    limit = StragglerLimit(layout, factor=10, least=60, look_seconds=0)
    assert limit.seconds("matching") == 600  # nobody knows yet
    seconds = ((10, 400), (10, 50), (20, 160))  # 40, 5 and 8 an image
    write_seconds_per_image(layout, [{"images": images, "seconds": {"matching": all_}} for images, all_ in seconds])
    assert limit.seconds("matching") == 80
    assert StragglerLimit(layout, factor=10, least=100, look_seconds=0).seconds("matching") == 100
    assert limit.seconds("writing") == 600
    assert StragglerLimit(layout, factor=0, least=60).seconds("matching") == float("inf")

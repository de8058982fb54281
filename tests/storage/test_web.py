"""Web servers that are busy, slow, circular, unwilling or send too much, against a real one."""

import contextlib
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import pytest

from pipeline import storage
from pipeline.storage import web as web_module
from pipeline.storage.web import is_unwanted

BODY = b"a picture"


class Handler(http.server.BaseHTTPRequestHandler):
    """Each path misbehaves in its own way; `asked` counts requests, `at_once` those under way, and the most of them."""

    asked: ClassVar[Counter]
    released: ClassVar[threading.Event]
    at_once: ClassVar[list[int]]
    lock = threading.Lock()

    def do_GET(self) -> None:
        with self.lock:
            self.asked[self.path] += 1
            self.at_once[0] += 1
            self.at_once[1] = max(self.at_once)
        with contextlib.suppress(ConnectionError):  # whoever asked has heard enough
            self._answer(self.path.strip("/"))

    def _answer(self, path: str) -> None:
        kind, _, value = path.partition("/")
        if kind == "circle":
            self._head(302, Location="/circle")
        elif kind == "busy" and self.asked[self.path] <= int(value):
            self._head(503, **{"Retry-After": "0", "Content-Length": "0"})
        elif kind == "status":
            self._head(int(value), **{"Content-Length": "0"})
        elif kind == "slow":  # a byte now and then, for ever
            self._head(200, **{"Content-Length": "1000"})
            while not self.released.wait(0.05):
                self.wfile.write(b"x")
        elif kind == "large":  # 300 MB, as it says or does not say
            self._head(200, **({"Content-Length": str(300 * 10**6)} if value else {"Connection": "close"}))
            self.wfile.write(bytes(10**6))
        elif kind == "cut" and self.asked[self.path] == 1:
            self._head(200, **{"Content-Length": "50"})
            self.wfile.write(b"half")
            self.close_connection = True
        elif kind == "tag":
            self._head(200, **{"X-Robots-Tag": value.replace("_", " "), "Content-Length": str(len(BODY))})
            self.wfile.write(BODY)
        else:
            self._head(200, **{"Content-Length": str(len(BODY))})
            with self.lock:
                self.at_once[0] -= 1  # before whoever waits for it can ask for the next
            self.wfile.write(BODY)

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked, Handler.released, Handler.at_once = Counter(), threading.Event(), [0, 0]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        Handler.released.set()
        http_server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(web_module, "_FIRST_PAUSE", 0.01)


def read(url: str, limit: int = 10_000, **options) -> bytes:
    usual = {"per_host": 4, "attempts": 3, "seconds": 60.0, "robots_tag": True}
    return storage.read_web(url, limit, **usual | options)


def test_a_busy_server_is_asked_again_and_a_broken_connection_too(server):
    assert read(f"{server}/busy/2") == BODY
    assert Handler.asked["/busy/2"] == 3
    assert read(f"{server}/cut") == BODY
    with pytest.raises(OSError, match="HTTP status 503"):
        read(f"{server}/busy/7")
    assert Handler.asked["/busy/7"] == 3


@pytest.mark.parametrize(
    ("status", "error"), [(404, FileNotFoundError), (410, FileNotFoundError), (403, PermissionError), (400, OSError)]
)
def test_what_will_not_change_is_asked_once(server, status, error):
    with pytest.raises(error):
        read(f"{server}/status/{status}")
    assert Handler.asked[f"/status/{status}"] == 1


def test_slow_for_ever_and_redirects_in_a_circle_end(server):
    for path, seconds, reason in (("slow", 0.5, "timed_out"), ("circle", 60.0, "too_many_redirects")):
        with pytest.raises(storage.WebError) as caught:
            read(f"{server}/{path}", seconds=seconds)
        assert caught.value.reason == reason
        assert f"{server}/{path}" in str(caught.value)


@pytest.mark.parametrize("path", ["large/stated", "large"])
def test_no_more_is_read_than_wanted(server, path):
    with pytest.raises(storage.TooManyBytes):
        read(f"{server}/{path}", limit=500_000)


def test_what_is_not_for_training_sets_is_refused(server):
    for tag in ("noai", "NOINDEX,_nofollow"):
        with pytest.raises(storage.WebError, match="X-Robots-Tag") as caught:
            read(f"{server}/tag/{tag}")
        assert caught.value.reason == "robots_tag"
        assert read(f"{server}/tag/{tag}", robots_tag=False) == BODY
    assert read(f"{server}/tag/nofollow") == BODY


def test_directives_for_one_robot_are_its_own():
    assert is_unwanted(["max-snippet:3, noimageai"])
    assert not is_unwanted(["googlebot: noindex", "otherbot: nofollow, noai"])
    assert not is_unwanted([])


def test_no_more_requests_at_once_than_a_host_is_to_have(server):
    urls = [f"{server}/{number}" for number in range(24)]
    threads = [threading.Thread(target=read, args=(url,), kwargs={"per_host": 3}) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(Handler.asked.values()) == 24
    assert Handler.at_once[1] <= 3


def test_nobody_there():
    with pytest.raises(OSError, match="Connect"):
        read("http://127.0.0.1:1/nothing", attempts=2)

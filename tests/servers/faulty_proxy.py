"""A proxy that passes requests on to an S3 server, except those that a test wants to go wrong."""

import contextlib
import http.client
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal[403, 500, 503, "drop", "lost", "cut", "slow", "silent"]
"""What goes wrong: an S3 error of this status; `drop`: hanging up without having passed the request on; `lost`: having
passed it on, but without its answer; `cut`: in the middle of a body, of the request if it has one, else of the answer;
`slow`: the answer's body comes in pieces; `silent`: no answer, until the client gives up or the proxy ends."""

# (method, path with query) -> what goes wrong, or None to pass the request on. It may block.
Fault = Callable[[str, str], Kind | None]

_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}
_PIECES = 10


class FaultyProxy:
    """A running proxy: `endpoint` to use, `requests` seen so far as (method, path with query), and how often what has
    gone wrong (`faults`).

    `pause`: seconds between the ten pieces of a slow body.
    """

    def __init__(self, endpoint: str, target: str) -> None:
        self.endpoint = endpoint
        self.target = urlsplit(target).netloc
        self.requests: list[tuple[str, str]] = []
        self.faults: Counter[Kind] = Counter()
        self.fault: Fault = lambda method, path: None
        self.pause = 0.05
        self.ended = threading.Event()


def random_faults(kinds: Sequence[Kind], share: float, seed: int) -> Fault:
    """Faults for a share of all requests. What happens to the n-th request for a key depends on nothing else, so the
    order in which requests come makes no difference, nor do the names of the bucket and of uploads in parts.
    """
    asked: Counter[str] = Counter()
    lock = threading.Lock()

    def fault(method: str, path: str) -> Kind | None:
        request = f"{method} {re.sub('uploadId=[^&]+', 'uploadId', path.split('/', 2)[-1])}"
        with lock:
            asked[request] += 1
            number = asked[request]
        rng = random.Random(f"{seed} {request} {number}")
        return rng.choice(kinds) if rng.random() < share else None

    return fault


@contextlib.contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A proxy on loopback to the server `target` (an http URL)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            proxy.requests.append((self.command, self.path))
            if (fault := proxy.fault(self.command, self.path)) is not None:
                proxy.faults[fault] += 1
            length = int(self.headers.get("Content-Length", 0))
            if fault == "cut" and length:
                self._read(length // 2)
                self.close_connection = True
                return
            body = self._read(length)
            if fault == "silent":
                proxy.ended.wait()
            if fault in ("drop", "silent"):
                self.close_connection = True
                return
            if fault in _CODES:
                self._answer(fault, {}, f"<Error><Code>{_CODES[fault]}</Code><Message>meant</Message></Error>".encode())
                return
            # The Host header stays as it was: it is part of the signature.
            upstream = http.client.HTTPConnection(proxy.target)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            if fault == "lost":
                self.close_connection = True
                return
            self._answer(answer.status, dict(answer.getheaders()), content, fault)

        def _read(self, length: int) -> bytes:
            if self.headers.get("Expect"):
                self.send_response_only(http.HTTPStatus.CONTINUE)
                self.end_headers()
                del self.headers["Expect"]
            return self.rfile.read(length)

        def _answer(self, status: int, headers: dict[str, str], body: bytes, fault: Kind | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding"):
                    self.send_header(name, value)
            length = len(body)
            if self.command == "HEAD":
                length, body = int(headers.get("Content-Length", 0)), b""
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if fault == "cut":
                self.wfile.write(body[: length // 2])
                self.close_connection = True
            elif fault == "slow":
                self._write_slowly(body)
            else:
                self.wfile.write(body)

        def _write_slowly(self, body: bytes) -> None:
            size = len(body) // _PIECES + 1
            for start in range(0, len(body), size):
                self.wfile.write(body[start : start + size])
                if proxy.ended.wait(proxy.pause):
                    return

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: socket.socket, client_address: object) -> None:
            pass  # clients give up, and are killed

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}", target)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()

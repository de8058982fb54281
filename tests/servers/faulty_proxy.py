"""A proxy that passes requests on to an S3 server, except those that a test wants to go wrong."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# (method, path with query) -> the HTTP status to answer with, "drop" to close the connection
# without an answer, or None to pass the request on. It may block.
Fault = Callable[[str, str], int | str | None]


class FaultyProxy:
    """A running proxy: `endpoint` to use, `requests` seen so far as (method, path with query)."""

    def __init__(self, endpoint: str, target: str) -> None:
        self.endpoint = endpoint
        self.target = urlsplit(target).netloc
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, path: None


@contextlib.contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A proxy on loopback to the server `target` (an http URL)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self._body()
            proxy.requests.append((self.command, self.path))
            fault = proxy.fault(self.command, self.path)
            if fault == "drop":
                self.close_connection = True
                return
            if fault is not None:
                code = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}[fault]
                self._answer(fault, {}, f"<Error><Code>{code}</Code></Error>".encode())
                return
            # The Host header stays as it was: it is part of the signature.
            upstream = http.client.HTTPConnection(proxy.target)
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
            upstream.close()

        def _body(self) -> bytes:
            if self.headers.get("Expect"):
                self.send_response_only(http.HTTPStatus.CONTINUE)
                self.end_headers()
                del self.headers["Expect"]
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding"):
                    self.send_header(name, value)
            length = len(body)
            if self.command == "HEAD":
                length, body = int(headers.get("Content-Length", 0)), b""
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}", target)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()

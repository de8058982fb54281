"""Files of web servers are read, and their errors keep their meaning."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import storage


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without byte ranges; `/status/403` answers with that status."""

    def do_GET(self) -> None:
        if self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2]))
        else:
            super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_http_is_read_and_its_errors_keep_their_meaning(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"0123456789")
    with web_server(tmp_path) as root:
        assert storage.read_bytes(storage.join(root, "a b.jpg")) == b"0123456789"
        assert storage.exists(storage.join(root, "a b.jpg"))
        storage.check_readable(storage.join(root, "a b.jpg"), "captions.path")
        for missing in ("none.jpg", "status/404", "status/410"):
            with pytest.raises(FileNotFoundError):
                storage.read_bytes(storage.join(root, missing))
        for status in (401, 403):
            with pytest.raises(PermissionError):
                storage.read_bytes(storage.join(root, f"status/{status}"))
            with pytest.raises(PermissionError):
                storage.exists(storage.join(root, f"status/{status}"))
        for status in (429, 500, 503):
            with pytest.raises(OSError, match=str(status)) as caught:
                storage.read_bytes(storage.join(root, f"status/{status}"))
            assert not isinstance(caught.value, FileNotFoundError | PermissionError)
        with pytest.raises(OSError, match="ignores byte ranges"):
            storage.read_bytes(storage.join(root, "a b.jpg"), 2, 4)
    with pytest.raises(OSError, match="Connect call failed") as caught:
        storage.read_bytes(storage.join(root, "a b.jpg"))  # nobody listens there any more
    assert not isinstance(caught.value, FileNotFoundError)

"""A Hugging Face hub on loopback: what huggingface_hub asks of it to list, read and write datasets and models.

    with hub_server() as hub:
        hub.commit("org/name", {"data/train-0.parquet": content})      # a new revision of the branch main
        hub.writers["hf_…"] = {"org"}                                  # a token that may write there
        environment = os.environ | {"HF_ENDPOINT": hub.endpoint}

It answers as huggingface.co does: errors have their X-Error-Code, and who may not see a private dataset is told that
there is none.
"""

import contextlib
import hashlib
import json
import posixpath
import re
import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers import hub_writing

_API = re.compile(r"/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.*)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Repository:
    """A dataset or a model."""

    token: str | None = None
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, files: dict[str, bytes], branch: str) -> str:
        """A commit with these files and no others. Returns its name."""
        content = b"".join(path.encode() + b"\0" + hashlib.sha1(data).digest() for path, data in sorted(files.items()))
        commit = hashlib.sha1(content).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit


class Hub:
    """A running stand-in: `endpoint` to use, the `requests` seen so far as (method, path with query, token), and
    `bytes_sent` of files.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[tuple[str, str, str | None]] = []
        self.bytes_sent = 0
        self.repositories: dict[str, Repository] = {}
        """By `datasets/ORG/NAME` or `models/ORG/NAME`."""
        self.writers: dict[str, set[str]] = {}
        """By token, the namespaces in which it may write."""
        self.objects: dict[str, bytes] = {}
        """Large files by their SHA-256, also those of no commit yet."""
        self.before: Callable[[str, str], int | None] = lambda method, path: None
        """Called with every request; a status that it returns is the answer."""

    def commit(self, name: str, files: dict[str, bytes], branch: str = "main", kind: str = "datasets") -> str:
        """Make these files all that a branch of a dataset has. Returns the commit."""
        return self.repositories.setdefault(f"{kind}/{name}", Repository()).add(files, branch)

    def files(self, name: str, branch: str = "main", kind: str = "datasets") -> dict[str, bytes]:
        """What a branch has."""
        repository = self.repositories[f"{kind}/{name}"]
        return repository.commits[repository.branches[branch]]

    def protect(self, name: str, token: str, *, gated: bool = False) -> None:
        """Only requests with this token see the dataset; others are told that it is gated, or that there is none."""
        repository = self.repositories[f"datasets/{name}"]
        repository.token, repository.gated = token, gated


@contextlib.contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub without datasets."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self._body()
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            given = token if scheme == "Bearer" else None
            hub.requests.append((self.command, self.path, given))
            path = urlsplit(self.path).path
            if status := hub.before(self.command, path):
                self._error(status, "", "as the test wants it")
            elif answer := hub_writing.answer(hub, self.command, path, body, given):
                self._error(*answer) if isinstance(answer, hub_writing.Refused) else self._json(answer)
            elif match := _API.fullmatch(path):
                kind, name, what, revision, inner = match.groups()
                if (found := self._repository(kind, name, given)) is not None:
                    self._api(found, name, what, unquote(revision or "main"), unquote(inner or ""), body)
            elif match := _FILE.fullmatch(path):
                kind, name, revision, inner = match.groups()
                found = self._repository((kind or "models/").strip("/"), name, given)
                files = None if found is None else self._files(found, unquote(revision))
                if found is not None and files is not None:
                    self._file(files.get(unquote(inner)), found.branches.get(unquote(revision), revision))
            else:
                self._error(404, "", "nothing is here")

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            blocks = []
            while length := int(self.rfile.readline(), 16):
                blocks.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(blocks)

        def _repository(self, kind: str, name: str, token: str | None) -> Repository | None:
            repository = hub.repositories.get(f"{kind}/{name}")
            if repository is not None and repository.token in (None, token):
                return repository
            if repository is not None and repository.gated:
                self._error(403 if token else 401, "GatedRepo", f"Access to dataset {name} is restricted")
            else:
                self._error(404 if token else 401, "RepoNotFound", "Repository not found")
            return None

        def _files(self, repository: Repository, revision: str) -> dict[str, bytes] | None:
            files = repository.commits.get(repository.branches.get(revision, revision))
            if files is None:
                self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return files

        def _api(self, found: Repository, name: str, what: str | None, revision: str, inner: str, body: bytes) -> None:
            if (files := self._files(found, revision)) is None:
                return
            if what in (None, "revision"):
                siblings = [{"rfilename": path} for path in files]
                commit = found.branches.get(revision, revision)
                self._json({"id": name, "sha": commit, "private": found.token is not None, "siblings": siblings})
            elif what == "tree":
                recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
                entries = self._entries(files, inner, recursive)
                if entries or not inner:
                    self._json(entries)
                else:
                    self._error(404, "EntryNotFound", f"{inner} does not exist on {revision}")
            else:
                wanted = parse_qs(body.decode()).get("paths", [])
                known = {entry["path"]: entry for entry in self._entries(files, "", recursive=True)}
                self._json([known[path] for path in wanted if path in known])

        def _entries(self, files: dict[str, bytes], folder: str, recursive: bool) -> list[dict]:
            return _entries(files, folder, recursive, large=hub.objects.keys())

        def _file(self, content: bytes | None, commit: str) -> None:
            if content is None:
                self._error(404, "EntryNotFound", "Entry not found")
                return
            headers = {"Accept-Ranges": "bytes", "ETag": f'"{hub_writing.git_hash(content)}"', "X-Repo-Commit": commit}
            if found := _RANGE.fullmatch(self.headers.get("Range", "")):
                first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
                if first >= len(content):
                    self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                    return
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                hub.bytes_sent += last + 1 - first
                self._answer(206, content[first : last + 1], headers)
            else:
                hub.bytes_sent += len(content)
                self._answer(200, content, headers)

        def _json(self, value: object) -> None:
            self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _error(self, status: int, code: str, message: str, more: dict | None = None) -> None:
            self._answer(status, json.dumps({"error": message} | (more or {})).encode(), {
                "Content-Type": "application/json", "X-Error-Code": code, "X-Error-Message": " ".join(message.split()),
            })  # fmt: skip

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = handle_request  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients give up

    with Server(("127.0.0.1", 0), Handler) as server:
        hub = Hub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def _entries(files: dict[str, bytes], folder: str, recursive: bool, large: Container[str]) -> list[dict]:
    """What the API lists of a folder: files, and the folders that they are in."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict] = {}
    for path, content in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parents = [path]
        while (parent := posixpath.dirname(parents[-1])) not in ("", folder):
            parents.append(parent)
        for name in parents[1:]:
            entries[name] = {
                "type": "directory",
                "oid": hashlib.sha1(name.encode()).hexdigest(),
                "size": 0,
                "path": name,
            }
        entries[path] = {"type": "file", "oid": hub_writing.git_hash(content), "size": len(content), "path": path}
        if (digest := hashlib.sha256(content).hexdigest()) in large:
            entries[path]["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    depth = prefix.count("/")
    return [entry for path, entry in sorted(entries.items()) if recursive or path.count("/") == depth]

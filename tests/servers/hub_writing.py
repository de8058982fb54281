"""What the stand-in of the hub answers to those who write: repositories, branches, large files, commits."""

import base64
import fnmatch
import hashlib
import json
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import yaml

if TYPE_CHECKING:
    from tests.servers.hub import Hub, Repository

_TO_REPOSITORY = re.compile(r"/api/(datasets|models)/([^/]+)/([^/]+)/(preupload|commit|branch)/([^/]+)")
_BATCH = re.compile(r"/(datasets/)?([^/]+)/([^/]+)\.git/info/lfs/objects/batch")
_OBJECT = re.compile(r"/objects/([0-9a-f]{64})")
_LARGE = (".parquet", ".safetensors")
_FIRST = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}


class Refused(NamedTuple):
    """An error of the hub."""

    status: int
    code: str
    message: str
    more: dict = {}  # noqa: RUF012


def answer(hub: "Hub", method: str, path: str, body: bytes, token: str | None) -> dict | Refused | None:
    """The answer to a request that writes; None for any other."""
    if method == "PUT" and (match := _OBJECT.fullmatch(path)):
        return _put(hub, match[1], body)
    if method != "POST":
        return None
    if path == "/api/validate-yaml":
        return _validated(json.loads(body)["content"])
    if path == "/api/repos/create":
        return _created(hub, json.loads(body), token)
    if match := _BATCH.fullmatch(path):
        kind, organisation, name = (match[1] or "models/").strip("/"), match[2], match[3]
        refused = _may_write(hub, f"{kind}/{organisation}/{name}", token)
        return refused or _batch(hub, json.loads(body)["objects"])
    if match := _TO_REPOSITORY.fullmatch(path):
        kind, organisation, name, what, revision = match.groups()
        if refused := _may_write(hub, f"{kind}/{organisation}/{name}", token):
            return refused
        repository, branch = hub.repositories[f"{kind}/{organisation}/{name}"], unquote(revision)
        if what == "branch":
            repository.branches[branch] = repository.branches["main"]
            return {"ok": True}
        if branch not in repository.branches:
            return Refused(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        if what == "preupload":
            return _upload_modes(repository, branch, json.loads(body)["files"])
        page = f"{hub.endpoint}/{kind}/{organisation}/{name}".replace("/models/", "/")
        return _commit(hub, repository, branch, page, [json.loads(line) for line in body.splitlines()])
    return None


def _may_write(hub: "Hub", repository: str, token: str | None) -> Refused | None:
    if token not in hub.writers:
        return Refused(401, "", "Invalid credentials in Authorization header")
    if repository not in hub.repositories:
        return Refused(404, "RepoNotFound", "Repository not found")
    if repository.split("/")[1] not in hub.writers[token]:
        return Refused(403, "", "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
    return None


def _created(hub: "Hub", wanted: dict, token: str | None) -> dict | Refused:
    from tests.servers.hub import Repository

    kind, organisation = f"{wanted.get('type', 'model')}s", wanted["organization"]
    repository = f"{kind}/{organisation}/{wanted['name']}"
    if token not in hub.writers:
        return Refused(401, "", "Invalid credentials in Authorization header")
    if organisation not in hub.writers[token]:
        return Refused(403, "", f'You don\'t have the rights to create a {wanted["type"]} under "{organisation}"')
    page = f"{hub.endpoint}/{repository.removeprefix('models/')}"
    if repository in hub.repositories:
        return Refused(409, "", "You already created this repo", {"url": page})
    hub.repositories[repository] = Repository(token if wanted.get("visibility") == "private" else None)
    hub.repositories[repository].add(_FIRST, "main")
    return {"url": page}


def _validated(card: str) -> dict | Refused:
    head = re.match(r"---\n(.*?)---\n", card, re.DOTALL)
    try:
        found = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as error:
        return Refused(400, "", f"Invalid metadata in README.md: {error}")
    return {"errors": [], "warnings": [] if found else [{"message": "empty or missing yaml metadata in repo card"}]}


def _upload_modes(repository: "Repository", branch: str, files: list[dict]) -> dict:
    there = repository.commits[repository.branches[branch]]
    ignored = there.get(".gitignore", b"").decode().split()
    answers = []
    for file in files:
        path, content = file["path"], there.get(file["path"])
        mode = "lfs" if path.endswith(_LARGE) else "regular"
        found = {} if content is None else {"oid": _sha256(content) if mode == "lfs" else git_hash(content)}
        ignore = any(fnmatch.fnmatch(path, pattern) for pattern in ignored)
        answers.append({"path": path, "uploadMode": mode, "shouldIgnore": ignore, **found})
    return {"files": answers}


def _batch(hub: "Hub", objects: list[dict]) -> dict:
    def instructed(wanted: dict) -> dict:
        if wanted["oid"] in hub.objects:
            return wanted
        return {**wanted, "actions": {"upload": {"href": f"{hub.endpoint}/objects/{wanted['oid']}?X-Amz-Signature=s"}}}

    return {"transfer": "basic", "objects": [instructed(wanted) for wanted in objects]}


def _put(hub: "Hub", digest: str, content: bytes) -> dict | Refused:
    if _sha256(content) != digest:
        return Refused(400, "", "the content is not what was announced")
    hub.objects[digest] = content
    return {"ok": True}


def _commit(hub: "Hub", repository: "Repository", branch: str, page: str, lines: list[dict]) -> dict | Refused:
    files = dict(repository.commits[repository.branches[branch]])
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            if value["oid"] not in hub.objects:
                return Refused(400, "", f"{value['path']}: there is no such object")
            files[value["path"]] = hub.objects[value["oid"]]
    commit = repository.add(files, branch)
    return {"success": True, "commitOid": commit, "commitUrl": f"{page}/commit/{commit}"}


def git_hash(content: bytes) -> str:
    """How git calls a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

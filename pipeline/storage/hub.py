"""Addresses on the Hugging Face hub: hf://datasets/ORG/NAME@REVISION/PATH."""

import re

from pipeline.storage.connections import filesystem
from pipeline.storage.errors import plain_errors, user_errors
from pipeline.storage.hub_errors import is_on_the_hub

_COMMIT = re.compile(r"[0-9a-f]{40}")


def at_commit(uri: str, key: str) -> str:
    """An address on the hub with the commit in the place of the branch or tag, or of none; another URI as it is.

    A branch may move while workers read; a commit stays, and says later what was read.

    Args:
        key: of the configuration, for messages.

    Raises:
        UserError: there is no such dataset or revision, or it is private or gated; or the hub does not answer.
    """
    protocol, _, inner = uri.rpartition("hf://")
    if not is_on_the_hub(uri) or inner.startswith("buckets/"):
        return uri
    with user_errors(uri, key), plain_errors(uri):
        from huggingface_hub import HfApi
        from huggingface_hub.constants import REPO_TYPES_URL_PREFIXES

        fs, path = filesystem(f"hf://{inner}")
        found = fs.resolve_path(path)
        commit = found.revision
        if not _COMMIT.fullmatch(commit):
            api = HfApi(endpoint=fs.endpoint, token=fs.token)
            commit = api.repo_info(found.repo_id, revision=found.revision, repo_type=found.repo_type).sha
        prefix = REPO_TYPES_URL_PREFIXES.get(found.repo_type, "")
        return f"{protocol}hf://{prefix}{found.repo_id}@{commit}/{found.path_in_repo}".rstrip("/")

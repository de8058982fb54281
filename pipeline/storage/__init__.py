"""The one place that knows about URIs.

Everything else passes strings such as `data/out`, `s3://bucket/prefix`, `https://host/images` or
`zip://train2017/1.jpg::s3://bucket/train2017.zip` to the functions below. fsspec does the work;
what this package adds:

- writes that are visible whole or not at all,
- no listing caches: another process may have written a moment ago,
- requests to S3 that are repeated for two minutes at most (`s3`),
- errors with one meaning each, which name the URI. `FileNotFoundError`: storage answered, and this
  one object is not there. `PermissionError` and every other `OSError`: storage is broken,
  unreachable or forbidden, which says nothing about the object, so a caller must let it pass. (S3
  answers 403 for a missing key when the credentials lack ListBucket; that stays a PermissionError.)

S3 endpoint, region and credentials come from the environment (`AWS_ENDPOINT_URL`,
`AWS_ACCESS_KEY_ID`, …) or from the machine's role, the token for `hf://` from where huggingface_hub
has it (`HF_TOKEN`, `hf auth login`), never from a URI or the configuration.

fsspec gives each process its own connections, so the functions work in threads, in Ray workers and,
with the precaution at `connections._inherited`, after a fork.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.storage.bounded import read_at_most
    from pipeline.storage.checks import check_readable, check_writable
    from pipeline.storage.connections import arrow_filesystem, filesystem, is_local
    from pipeline.storage.errors import TooManyBytes
    from pipeline.storage.hub import at_commit
    from pipeline.storage.reading import (
        download,
        exists,
        list_folders,
        list_names,
        list_tree,
        open_input,
        read_bytes,
        sha256,
        size,
        zip_members,
    )
    from pipeline.storage.removing import remove, remove_leftovers, remove_tree
    from pipeline.storage.tables import is_damage, read_table, write_table
    from pipeline.storage.uris import absolute, is_absolute, join
    from pipeline.storage.web import WebError, read_web
    from pipeline.storage.writing import upload, write_bytes

__all__ = [
    "TooManyBytes",
    "WebError",
    "absolute",
    "arrow_filesystem",
    "at_commit",
    "check_readable",
    "check_writable",
    "download",
    "exists",
    "filesystem",
    "is_absolute",
    "is_damage",
    "is_local",
    "join",
    "list_folders",
    "list_names",
    "list_tree",
    "open_input",
    "read_at_most",
    "read_bytes",
    "read_table",
    "read_web",
    "remove",
    "remove_leftovers",
    "remove_tree",
    "sha256",
    "size",
    "upload",
    "write_bytes",
    "write_table",
    "zip_members",
]

__getattr__ = lazy_imports(__name__)

"""Reading objects of other people, which may be of any size."""

import errno
import os
import stat
from typing import TYPE_CHECKING

from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.local import LocalFileSystem

from pipeline.storage.connections import filesystem
from pipeline.storage.errors import TooManyBytes, plain_errors, unusable_names
from pipeline.storage.reading import read_bytes, read_zip_member
from pipeline.storage.uris import is_zip_member

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_BLOCK_BYTES = 2**18


def read_at_most(uri: str, limit: int) -> bytes:
    """All of an object, as `read_bytes` returns it, unless it has more than `limit` bytes.

    The size is looked at before anything is read where it is known (files, zip members, web servers that state it);
    in any case no more than `limit` bytes are held. One request on S3 and https.

    Raises:
        TooManyBytes: it is larger.
        FileNotFoundError, zipfile.BadZipFile, OSError: as `read_bytes`. What is no regular file (a device, a pipe)
            counts as not there.
    """
    if is_zip_member(uri):
        return read_zip_member(uri, limit)
    with plain_errors(uri), unusable_names(uri):
        fs, path = filesystem(uri)
        if isinstance(fs, LocalFileSystem):
            return _read_file(path, limit)
        if isinstance(fs, HTTPFileSystem):
            return sync(fs.loop, _read_http, fs, path, limit)
    data = read_bytes(uri, 0, limit + 1)
    if len(data) > limit:
        raise TooManyBytes(None, limit)
    return data


def _read_file(path: str, limit: int) -> bytes:
    # Without O_NONBLOCK opening a pipe would wait for a writer, without end.
    with open(path, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is not a regular file", path)
        if found.st_size > limit:
            raise TooManyBytes(found.st_size, limit)
        blocks, size = [], 0
        while block := file.read(min(max(found.st_size - size, 1), _BLOCK_BYTES * 64)):
            blocks.append(block)
            size += len(block)
            if size > limit:  # it grows, or is of the kind that states no size
                raise TooManyBytes(None, limit)
    return b"".join(blocks)


async def _read_http(fs: HTTPFileSystem, url: str, limit: int) -> bytes:
    session = await fs.set_session()
    async with session.get(fs.encode_url(url), **fs.kwargs) as response:
        if response.status == 404:
            raise FileNotFoundError(url)
        response.raise_for_status()
        return await read_body(response, limit)


async def read_body(response: "ClientResponse", limit: int) -> bytes:
    """The body of an answer by HTTP; no more than `limit` bytes of it are ever held.

    Raises:
        TooManyBytes: it states more, or sends more.
        aiohttp.ClientError: the connection breaks.
    """
    stated = response.content_length
    if stated is not None and stated > limit:
        raise TooManyBytes(stated, limit)
    blocks, size = [], 0
    async for block in response.content.iter_chunked(_BLOCK_BYTES):
        size += len(block)
        if size > limit:
            raise TooManyBytes(None, limit)
        blocks.append(block)
    return b"".join(blocks)

"""Objects of web servers that are not ours: few at a time of one host, again after a while, not without end, and not
those that their owner does not want in training sets.
"""

import asyncio
import threading
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.typedefs import StrOrURL
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

from pipeline.storage.bounded import read_body
from pipeline.storage.connections import filesystem
from pipeline.storage.errors import plain_errors, unusable_names
from pipeline.storage.secrets import redacted

UNWANTED = frozenset({"noai", "noimageai", "noindex", "noimageindex"})
"""Directives of `X-Robots-Tag` by which a server says that an image is not for training sets: those of img2dataset."""

_WITH_VALUES = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")
"""Directives that a colon follows, as it follows the name of a robot."""

_REDIRECTS = 10
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Status codes that say nothing of the object."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0  # seconds
_gates: dict[str, threading.BoundedSemaphore] = {}
_gates_lock = threading.Lock()


class WebError(OSError):
    """A web server does not give an object; `reason` is a short code."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


class _Refusal(NamedTuple):
    """What becomes a `WebError`, which would be taken for an error of a library where connections are asked."""

    reason: str
    detail: str


def read_web(url: str, limit: int, *, per_host: int, attempts: int, seconds: float, robots_tag: bool) -> bytes:
    """An object of a web server, unless it has more than `limit` bytes.

    Args:
        url: `http://…` or `https://…`.
        per_host: how many requests this process has under way to one host.
        attempts: how often is asked, with pauses that double, where the server is busy or the connection breaks.
        seconds: that may pass with all attempts together, but not with waiting for other requests to the host.
        robots_tag: refuse what `X-Robots-Tag` marks as `UNWANTED`.

    Raises:
        TooManyBytes: it is larger; no more than `limit` bytes were held.
        WebError: `timed_out`, `too_many_redirects`, `robots_tag`.
        FileNotFoundError: status 404 or 410, or no address at all.
        PermissionError: status 401 or 403.
        OSError: any other status, or no connection.
    """
    with plain_errors(url), unusable_names(url), _gate(urlsplit(url).netloc.lower(), per_host):
        fs, path = filesystem(url)
        assert isinstance(fs, HTTPFileSystem)
        found = sync(fs.loop, _read, fs, path, limit, attempts, seconds, robots_tag)
    if isinstance(found, _Refusal):
        raise WebError(found.reason, found.detail)
    return found


def is_unwanted(tags: list[str]) -> bool:
    """Whether values of `X-Robots-Tag` keep everybody away; those for one robot (`googlebot: noindex`) are its own."""
    for tag in tags:
        before, colon, _ = tag.partition(":")
        of_one_robot = colon and "," not in before and before.strip().lower() not in _WITH_VALUES
        if not of_one_robot and any(directive.strip().lower() in UNWANTED for directive in tag.split(",")):
            return True
    return False


def _gate(host: str, per_host: int) -> threading.BoundedSemaphore:
    with _gates_lock:
        return _gates.setdefault(host, threading.BoundedSemaphore(per_host))


async def _read(
    fs: HTTPFileSystem, url: str, limit: int, attempts: int, seconds: float, robots_tag: bool
) -> bytes | _Refusal:
    session = await fs.set_session()
    try:
        async with asyncio.timeout(seconds):
            for attempt in range(attempts):
                try:
                    return await _ask(session, fs.encode_url(url), limit, robots_tag)
                except aiohttp.TooManyRedirects:
                    return _Refusal("too_many_redirects", f"more than {_REDIRECTS}: {redacted(url)}")
                except aiohttp.ClientError as error:
                    if attempt == attempts - 1 or not _is_passing(error):
                        raise
                    await asyncio.sleep(_pause(error, attempt))
    except TimeoutError:
        return _Refusal("timed_out", f"not whole after {seconds:g} s: {redacted(url)}")
    raise AssertionError("attempts is at least 1")


async def _ask(session: aiohttp.ClientSession, url: StrOrURL, limit: int, robots_tag: bool) -> bytes | _Refusal:
    async with session.get(url, max_redirects=_REDIRECTS) as response:
        response.raise_for_status()
        if robots_tag and is_unwanted(response.headers.getall("X-Robots-Tag", [])):
            found = ", ".join(response.headers.getall("X-Robots-Tag"))[:100]
            return _Refusal("robots_tag", f"X-Robots-Tag: {found}: {redacted(str(url))}")
        return await read_body(response, limit)


def _is_passing(error: aiohttp.ClientError) -> bool:
    """Whether asking again may help."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in _AGAIN
    return isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError)


def _pause(error: aiohttp.ClientError, attempt: int) -> float:
    """Seconds until the next attempt: what the server asks for (`Retry-After`), or twice as many each time."""
    wanted = _FIRST_PAUSE * 2**attempt
    if isinstance(error, aiohttp.ClientResponseError) and error.headers is not None:
        asked = error.headers.get("Retry-After", "")
        wanted = float(asked) if asked.isdecimal() else wanted
    return min(wanted, _LONGEST_PAUSE)

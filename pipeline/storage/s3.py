"""s3fs with a deadline for every request.

botocore repeats a request that failed for a reason that may pass, s3fs repeats that, and for reading a body repeats
both: a server that hangs up every time, or never answers, would be asked 200 times, for hours. Meanwhile the job would
take its workers for stuck in an image. Here a request has so many seconds with all its repetitions, and so has a body
once it has begun to come; a body that breaks off or comes too slowly is asked for again, as s3fs does.
"""

import asyncio
import errno
from typing import Any

from botocore.exceptions import HTTPClientError
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from pipeline.storage.errors import error_code, named

REQUEST_SECONDS = 120.0
"""For one request with all its repetitions: longer than S3 throttles, shorter than mining's `straggler_seconds`."""
BODY_SECONDS = 30.0
LEAST_BYTES_PER_SECOND = 128 * 2**10
"""What is sent or comes more slowly than this, after the seconds above, counts as broken."""


class DeadlineS3(S3FileSystem):
    """S3 in which a request that fails or hangs past its deadline is an OSError; what passes sooner goes unnoticed."""

    async def _call_s3(self, method: str, *arguments: dict, **options: Any) -> dict:
        limit = REQUEST_SECONDS + len(options.get("Body", b"")) / LEAST_BYTES_PER_SECOND
        deadline = asyncio.timeout(limit)
        try:
            async with deadline:
                answer = await super()._call_s3(method, *arguments, **options)
        except HTTPClientError as error:
            # s3fs would not know that this was repeated already.
            raise OSError(errno.EIO, str(error), _uri(options)) from error
        except TimeoutError as error:
            if not deadline.expired():
                raise
            reason = f"S3 failed, or did not answer, for {limit:.0f} s"
            raise OSError(errno.EIO, reason, _uri(options)) from error
        except OSError as error:
            if method == "abort_multipart_upload" and error_code(error) == "NoSuchUpload":
                return {}  # as it should be: the answer to the first request for this was lost
            raise named(error, _uri(options)) from error
        if method == "get_object":
            answer["Body"] = _Body(answer["Body"], answer.get("ContentLength", 0))
        return answer

    call_s3 = sync_wrapper(_call_s3)  # that of s3fs, with which open files are written, calls its own


def _uri(options: dict) -> str:
    return f"s3://{options.get('Bucket', '')}/{options.get('Key', options.get('Prefix', ''))}"


class _Body:
    """The body of an answer that has to come in time; TimeoutError makes s3fs ask for it again."""

    def __init__(self, body: Any, length: int):
        self._body = body
        self._seconds = BODY_SECONDS + length / LEAST_BYTES_PER_SECOND

    async def read(self, length: int | None = None) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._body.read(length)
        except TimeoutError as error:
            raise TimeoutError(errno.ETIMEDOUT, "the answer of S3 stopped, or came too slowly") from error

    def close(self) -> None:
        self._body.close()

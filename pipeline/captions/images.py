"""The bytes of a listed image."""

import errno

from pipeline import storage
from pipeline.captions.addresses import address_refusal
from pipeline.captions.arrow_images import read_arrow_image
from pipeline.captions.parquet_images import read_parquet_image
from pipeline.captions.picture_addresses import is_in_table
from pipeline.images import ImageProblem, ImagesConfig, WebConfig
from pipeline.storage.secrets import redacted
from pipeline.storage.uris import is_zip_member

_USUAL = WebConfig()


def read_image(
    image_uri: str,
    byte_offset: int | None,
    byte_length: int | None,
    max_bytes: int = ImagesConfig.max_bytes,
    web: WebConfig = _USUAL,
) -> bytes:
    """The encoded image of a listing row, whether a file, a zip member, a range of a tar or in a table.

    The address is judged again: the listing may be another's, or edited.

    Args:
        web: how web servers are asked for single images.

    Raises:
        ImageProblem: `refused_address`, `secret_in_address`, `too_many_bytes`; of web servers, `timed_out`,
            `too_many_redirects`, `robots_tag`.
        FileNotFoundError: the image is not there, or its tar has become shorter.
        zipfile.BadZipFile, pyarrow.ArrowInvalid: the image is in a damaged zip member or table.
        OSError: storage is broken, unreachable or forbidden.
    """
    tar_range = None if byte_offset is None or byte_length is None else (byte_offset, byte_length)
    in_tar = tar_range is not None
    if not in_tar and is_in_table(image_uri):
        read = read_arrow_image if image_uri.startswith("arrow://") else read_parquet_image
        return read(image_uri, max_bytes)
    in_zip = not in_tar and is_zip_member(image_uri)
    # The name of a member is a label, in which anything may stand; the address of a tar has no "::".
    storage_uri = image_uri.rpartition("::")[2] if in_tar or in_zip else image_uri
    problem = address_refusal(storage_uri)
    if problem is None and in_zip and image_uri.count("::") > 1:
        problem = "refused_address"
    if problem:
        raise ImageProblem(problem, redacted(image_uri))
    if tar_range is None:
        return _read_file(image_uri, max_bytes, web)
    first, length = tar_range
    if length > max_bytes:
        raise _too_many(length, max_bytes)
    data = storage.read_bytes(storage_uri, first, first + length)
    if len(data) < length:
        raise FileNotFoundError(errno.ENOENT, f"the tar ends at byte {len(data)} of it", image_uri)
    return data


def _read_file(uri: str, max_bytes: int, web: WebConfig) -> bytes:
    try:
        if uri.startswith(("http://", "https://")):
            return storage.read_web(
                uri,
                max_bytes,
                per_host=web.per_host,
                attempts=web.attempts,
                seconds=web.timeout_seconds,
                robots_tag=web.robots_tag,
            )
        try:
            return storage.read_at_most(uri, max_bytes)
        except FileNotFoundError:
            if "\\" not in uri:
                raise
            return storage.read_at_most(uri.replace("\\", "/"), max_bytes)
    except storage.TooManyBytes as error:
        raise _too_many(error.found, error.limit) from None
    except storage.WebError as error:
        raise ImageProblem(error.reason, str(error)) from None


def _too_many(found: int | None, limit: int) -> ImageProblem:
    size = "more" if found is None else f"{found} bytes"
    return ImageProblem("too_many_bytes", f"{size}, images.max_bytes is {limit}")

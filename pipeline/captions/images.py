"""The bytes of a listed image."""

import errno

from pipeline import storage
from pipeline.captions.addresses import address_refusal
from pipeline.captions.parquet_images import is_in_parquet, read_parquet_image
from pipeline.images import ImageProblem, ImagesConfig
from pipeline.storage.secrets import redacted
from pipeline.storage.uris import is_zip_member


def read_image(
    image_uri: str,
    byte_offset: int | None,
    byte_length: int | None,
    max_bytes: int = ImagesConfig.max_bytes,
) -> bytes:
    """The encoded image of a listing row, whether a file, a zip member, a range of a tar or in a Parquet table.

    The address is judged again: the listing may be another's, or edited.

    Raises:
        ImageProblem: `refused_address`, `secret_in_address`, `too_many_bytes`.
        FileNotFoundError: the image is not there, or its tar has become shorter.
        zipfile.BadZipFile, pyarrow.ArrowInvalid: the image is in a damaged zip member or table.
        OSError: storage is broken, unreachable or forbidden.
    """
    tar_range = None if byte_offset is None or byte_length is None else (byte_offset, byte_length)
    in_tar = tar_range is not None
    if not in_tar and is_in_parquet(image_uri):
        return read_parquet_image(image_uri, max_bytes)
    in_zip = not in_tar and is_zip_member(image_uri)
    # The name of a member is a label, in which anything may stand; the address of a tar has no "::".
    storage_uri = image_uri.rpartition("::")[2] if in_tar or in_zip else image_uri
    problem = address_refusal(storage_uri)
    if problem is None and in_zip and image_uri.count("::") > 1:
        problem = "refused_address"
    if problem:
        raise ImageProblem(problem, redacted(image_uri))
    if tar_range is None:
        return _read_file(image_uri, max_bytes)
    first, length = tar_range
    if length > max_bytes:
        raise _too_many(length, max_bytes)
    data = storage.read_bytes(storage_uri, first, first + length)
    if len(data) < length:
        raise FileNotFoundError(errno.ENOENT, f"the tar ends at byte {len(data)} of it", image_uri)
    return data


def _read_file(uri: str, max_bytes: int) -> bytes:
    try:
        try:
            return storage.read_at_most(uri, max_bytes)
        except FileNotFoundError:
            if "\\" not in uri:
                raise
            return storage.read_at_most(uri.replace("\\", "/"), max_bytes)
    except storage.TooManyBytes as error:
        raise _too_many(error.found, error.limit) from None


def _too_many(found: int | None, limit: int) -> ImageProblem:
    size = "more" if found is None else f"{found} bytes"
    return ImageProblem("too_many_bytes", f"{size}, images.max_bytes is {limit}")

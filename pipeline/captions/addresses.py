"""Which addresses in the data of others are read.

fsspec can do more with an address than read a file: `reference://` fills templates from the environment,
`github://` logs in, a `::` chain combines such. A dataset that somebody else wrote must not have that at its
disposal, so what it names is a path, or an address of a plain protocol, or a name inside `captions.images`; and
anything else costs that image.

The reasons: `refused_address`, and `secret_in_address` for one with a password or a token before the host.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.secrets import has_login, redacted

PLAIN_PROTOCOLS = ("file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "http", "https")

_AZURE = ("az://", "abfs://", "abfss://")
_AZURE_HOST = re.compile(
    r"\w+://[\w$.-]*(@[a-z0-9]+\.(dfs|blob)\.core\.[a-z.]+)?(/.*)?", re.ASCII | re.DOTALL | re.IGNORECASE
)

# Of these nothing needs a closer look: no colon (but for those of Azure), "@", backslash or step upwards.
_SURELY_PLAIN = rf"^(?:(?:{'|'.join(name for name in PLAIN_PROTOCOLS if not name.startswith('a'))})://)?[^:@\\]*$"
_UPWARDS = r"(?:^|/)\.\.(?:/|$)"


def refusal(name: str) -> str | None:
    """Why a name or an address from data is not read; None if it is.

    Allowed are absolute local paths, addresses of `PLAIN_PROTOCOLS`, and relative names that stay inside the folder
    that they are joined to, backslashes read as slashes: `a/../b.jpg` does, `../b.jpg` does not. (A dataset that
    means a file elsewhere can give its absolute path; a name that leads out of the folder is a mistake or worse.)
    """
    if problem := address_refusal(name):
        return problem
    if "://" in name or name.startswith("/"):
        return None
    depth = 0
    for part in name.replace("\\", "/").split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return "refused_address"
    return None


def address_refusal(address: str) -> str | None:
    """As `refusal`, for what is about to be opened: relative paths may lead anywhere."""
    if has_login(address):
        return "secret_in_address"
    # adlfs takes what stands before ".blob." for the name of an account, and sends the account's token there.
    if address.startswith(_AZURE) and not _AZURE_HOST.fullmatch(address):
        return "refused_address"
    # Backslashes are read as slashes where a name does not exist as it is.
    address = address.replace("\\", "/")
    protocol, separator, _ = address.partition("://")
    if "::" in address or address.startswith("data:") or (separator and protocol not in PLAIN_PROTOCOLS):
        return "refused_address"
    return None


def is_inner(name: str) -> bool:
    """Whether a name is a relative one that stays inside the folder that it is joined to, and no address of its own."""
    return bool(name) and "://" not in name and not name.startswith(("/", "~")) and refusal(name) is None


def inner_name(name: str) -> str:
    """The name, if it `is_inner`.

    Raises:
        ValueError: it is not.
    """
    if not is_inner(name):
        raise ValueError(f"{redacted(name)!r} is no name inside the folder")
    return name


def refusals(names: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`refusal` of every name, as text; null where it is none, and for a null."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    plain = pc.and_(
        pc.match_substring_regex(names, _SURELY_PLAIN),
        pc.invert(pc.match_substring_regex(names, _UPWARDS)),
    )
    if pc.all(pc.fill_null(plain, True)).as_py():
        return pa.nulls(len(names), pa.string())
    found = [
        None if surely or name is None else refusal(name)
        for surely, name in zip(plain.to_pylist(), names.to_pylist(), strict=True)
    ]
    return pa.array(found, pa.string())


def all_redacted(names: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`secrets.redacted` of every address; nulls stay."""
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    # Every secret has one of these before or after it, or begins like a known token.
    perhaps = pc.match_substring_regex(
        names, r"[@=]|%40|hf_|api_org_|gh[pousr]_|github_pat_|glpat-|AIza|xox|eyJ|sk-|hooks\."
    )
    if not pc.any(pc.fill_null(perhaps, False)).as_py():
        return names
    shown = [
        redacted(name) if maybe else name for maybe, name in zip(perhaps.to_pylist(), names.to_pylist(), strict=True)
    ]
    return pa.array(shown, pa.string())

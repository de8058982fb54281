"""Passwords, signatures and tokens in addresses: whether there is one, and the address without it.

One place for configurations (which refuse them) and for addresses in data (which are shown without them).
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

MARK = "…"
"""What stands in the place of a secret."""

# From where a run of such characters begins, so that a long one is looked at once and not from each of them.
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.\-])[A-Za-z0-9+.\-]+://")
_PORT = re.compile(r"\d{0,5}")
# What follows these names a member or a file, not a host.
_WITHOUT_HOST = ("zip", "tar", "file", "local", "memory", "simplecache", "filecache", "blockcache", "cached")
# Here a colon cannot begin a port.
_WITHOUT_PORT = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "oss", "oci")

_PARAMETER = re.compile(r"[?&;#]([^=?&;#]+)=([^&]+)")
_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|signature|credential|authorization|bearer"
    r"|(api|access|private|subscription|account|auth|shared)[-_.]?key"
    r"|(^|[-_.])(sig|pwd|pass|auth|sas|jwt|apikey|hmac|hdnea|hdnts|j?sessionid|phpsessid)$"
    r"|^(AWSAccessKeyId|GoogleAccessId|Key-Pair-Id|Policy)$",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])("
    r"hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w\-]{16,}"
    r"|AIza[\w\-]{30,}"  # Google
    r"|sk-(?:proj|ant|svcacct|admin)-[\w\-]{16,}|sk-[A-Za-z0-9]{32,}"  # OpenAI, Anthropic
    r"|hooks\.slack\.com/services/\w+/\w+/\w{16,}"
    r"|(?:AccountKey|SharedAccessSignature|SharedAccessKey)=[^;\s…]+"  # connection strings of Azure
    r"|[A-Z0-9_]{0,40}(?:TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY|ACCOUNT_KEY)=[^\s…]+"  # lines of a shell
    r"|xox[abeoprs]-[\w\-]{10,}"
    r"|eyJ[\w\-]{8,2000}\.eyJ[\w\-]{8,2000}\.[\w\-]*"  # JSON web tokens
    r")"
)

_Span = tuple[int, int]


def has_secret(uri: str) -> bool:
    """Whether a URI, or any part of a `::` chain, contains a password, a signature or a token.

    Found are logins (`user:password@`, for http also `TOKEN@`), query parameters that are called like a secret
    (`X-Amz-Signature`, `sig`, `access_token`, …), also in a URI inside the query, and tokens that can be told by
    their form (`hf_…`). An address without a secret is not changed by `redacted`.
    """
    return next(_secrets(uri), None) is not None


def has_login(uri: str) -> bool:
    """Whether a URI, or any part of a `::` chain, contains a password or a token before the `@` of its host."""
    return next(_logins(uri), None) is not None


def redacted(uri: str) -> str:
    """A URI, or a text with URIs, with "…" in the place of every secret: `https://…@host/a.jpg?sig=…`."""
    # Again, since what is left may read as another secret; every round leaves fewer characters that are no mark.
    while spans := sorted(_secrets(uri)):
        kept, end = [], 0
        for start, stop in spans:
            if start >= end:
                kept += [uri[end:start], MARK]
            end = max(end, stop)
        uri = "".join([*kept, uri[end:]])
    return uri


def _secrets(uri: str, deeper: int = 3) -> Iterator[_Span]:
    """Where the secrets are; in URIs inside URIs `deeper` times, and what goes on beyond is taken for one."""
    yield from _logins(uri)
    for match in _TOKEN.finditer(uri):
        yield match.span()
    if "://" not in uri:
        return  # a name or a path, in which nothing is a parameter
    for match in _PARAMETER.finditer(uri):
        name, value = unquote(match[1]), unquote(match[2])
        if not match[2].startswith(MARK) and (_SECRET_NAME.search(name) or _hides_secret(value, match[2], deeper)):
            yield match.span(2)


def _hides_secret(value: str, escaped: str, deeper: int) -> bool:
    if value == escaped or "://" not in value:
        return False
    return deeper == 0 or next(_secrets(value, deeper - 1), None) is not None


def _logins(uri: str) -> Iterator[_Span]:
    """Where user and password stand, for every `scheme://` of a URI."""
    schemes = list(_SCHEME.finditer(uri))
    for index, scheme in enumerate(schemes):
        end = schemes[index + 1].start() if index + 1 < len(schemes) else len(uri)
        length = _login_length(scheme[0].removesuffix("://").lower(), uri[scheme.end() : end])
        if length:
            yield scheme.end(), scheme.end() + length


def _login_length(scheme: str, rest: str) -> int:
    """How many characters of what follows `scheme://` are a login with a secret; 0 for none."""
    if scheme in _WITHOUT_HOST:
        return 0
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = host.rpartition("@")
    if at and ":" not in unquote(user):
        # A name alone is a token to web servers; abfs://container@account is an address.
        is_token = scheme.endswith(("http", "https")) or _TOKEN.match(user)
        return len(user) if is_token and user and not user.startswith(MARK) else 0
    if at:
        name, _, password = unquote(user).partition(":")
        if not password and not scheme.endswith(("http", "https")):
            return 0
    else:
        # A password may hold characters that end a host: s3://KEY:se/cret@bucket. Or it is host:port/a@2x.jpg.
        name, colon, port = host.rpartition(":")
        is_port = _PORT.fullmatch(port) and scheme not in _WITHOUT_PORT
        if not colon or is_port or name.startswith("["):
            return 0
    # What looks like the host may be a part of the password (p@ss/word), so the last one counts.
    path = rest if not at else re.split(r"[?#]", rest, maxsplit=1)[0]
    ends = [match.start() for match in re.finditer("@|%40", path)]
    return ends[-1] if ends and not path.startswith(MARK) else 0

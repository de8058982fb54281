"""Names and addresses of hosts."""

import ipaddress
import re

HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/?#@\[\]]+)(?::([0-9]{1,5}))?")
"""`Host` of a request: a name or an address, and perhaps a port."""


def is_any(host: str) -> bool:
    """Whether a server that listens at `host` can be reached at every address of its machine."""
    found = address(host)
    return found is not None and found.is_unspecified


def is_loopback(host: str) -> bool:
    """Whether a server that listens at `host` can be reached from this machine alone."""
    found = address(host)
    return host == "localhost" or (found is not None and found.is_loopback)


def is_name(text: str) -> bool:
    """Whether a text is a name or an IP address alone, without scheme, port or path."""
    found = HOST.fullmatch(text)
    return bool(found and not found[2] and "*" not in text) or address(text) is not None


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address; None for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def plain(name: str) -> str:
    """A name as it is compared."""
    return name.removeprefix("[").removesuffix("]").removesuffix(".").lower()

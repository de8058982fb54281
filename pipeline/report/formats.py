"""Numbers as people read them."""

_DIGITS = 3


def number(value: float | None, digits: int = _DIGITS) -> str:
    """`1,234,567` and `0.123`; `–` for None and nan."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """A share 0..1 as `12.3 %`, not to be broken; `–` for None and nan."""
    return "–" if value is None or value != value else f"{100 * value:.1f}\u00a0%"


def size(count: int) -> str:
    """Bytes as `1.5 MB` (10⁶ bytes)."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"

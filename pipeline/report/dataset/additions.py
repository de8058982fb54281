"""What the options of mining add to a pair: attributes, hard negatives, and who proposed its mask.

All of it comes from the `KEY.json` of samples, which may be another's: what is not of its type is left out.
"""

from collections.abc import Mapping, Sequence

from pipeline.report.dataset.opinions import Opinions


def additions(details: Mapping) -> dict:
    """What a row says of its pair besides; what the pair does not have is missing."""
    found: dict[str, object] = {name: _words(details.get(name)) for name in ("attributes", "negatives")}
    found["backend"], prompt = (_text(details.get(name)) for name in ("backend", "prompted_by"))
    if prompt:
        found |= {"prompt": prompt, "prompt_score": _share(details.get("prompt_score"))}
    return {name: value for name, value in found.items() if value not in ("", [])}


def offered(rows: Sequence[dict], opinions: Opinions) -> dict:
    """What the rows of a page can be chosen by: whether any has `attributes`, `negatives` or a `prompt`; the names of
    `backends`, unless one made all masks unasked, and of `verifiers`.
    """
    has = {name: any(name in row for row in rows) for name in ("attributes", "negatives", "prompt")}
    backends = sorted({row["backend"] for row in rows if "backend" in row})
    told = has["prompt"] or len(backends) > 1
    return {**has, "backends": backends if told else [], "verifiers": list(opinions.verifiers)}


def _words(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _share(value: object) -> float | None:
    return round(value, 6) if isinstance(value, float) and 0 <= value <= 1 else None

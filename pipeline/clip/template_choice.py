"""Which prompt templates a configuration asks for: a named set, or some of one's own. `{}` stands for the noun."""

import json
from typing import Any, Literal, get_args

from pipeline import storage
from pipeline.errors import UserError

TemplateSet = Literal["none", "photo", "vild", "imagenet"]
"""Named sets: see `pipeline.clip.templates`."""

Templates = TemplateSet | list[str] | str
"""A named set, a list of templates, or the path or URI of a file with one a line."""

_MOST, _LONGEST, _MOST_BYTES = 1000, 1000, 2**20
_SHOWN = 3


def read_templates(templates: Any, key: str) -> Templates:
    """The templates that a configuration asks for, those of a file as a list: what they are is in `config.yaml` then,
    and workers need no file.

    Args:
        key: of the configuration, for messages.

    Raises:
        UserError: the file cannot be read, or a template is none.
        OSError: storage cannot be read.
    """
    if templates in get_args(TemplateSet):
        return templates
    return check_templates(_lines(templates, key) if isinstance(templates, str) else templates, key)


def check_templates(templates: Any, key: str) -> list[str]:
    """Templates of one's own, if each is one.

    Raises:
        UserError: naming the key and the first that is none.
    """
    if not isinstance(templates, list) or not 0 < len(templates) <= _MOST:
        found = f"{len(templates)} templates" if isinstance(templates, list) else repr(templates)[:80]
        raise UserError(f"{key}: {found}; give one to {_MOST}, such as ['a satellite photo of {{}}']")
    for index, template in enumerate(templates):
        problem = _problem(template)
        if problem:
            raise UserError(
                f"{key}[{index}] is {template!r:.120}, which {problem}; such as 'a satellite photo of {{}}'"
            )
        if template in templates[:index]:
            raise UserError(f"{key}[{index}] is {template!r:.120} again; each counts once")
    return templates


def _problem(template: Any) -> str | None:
    if not isinstance(template, str):
        return "is no text"
    if template.count("{}") != 1:
        return f"has {{}} {template.count('{}')} times instead of once, where the noun belongs"
    if set("{}") & set(template.replace("{}", "")):
        return "has other braces than those of {}"
    if len(template) > _LONGEST or not template.isprintable():
        return f"has over {_LONGEST} characters, or some that cannot be seen"
    return None


def _lines(uri: str, key: str) -> list[str]:
    """The templates in a file: its lines that are not empty, without spaces around them."""
    sets = ", ".join(get_args(TemplateSet))
    try:
        text = storage.read_at_most(uri, _MOST_BYTES).decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(
            f"{key}: {uri!r:.200} is no set of templates ({sets}), and there is no such file with one a line; a single "
            "one is a list, too: ['a satellite photo of {}']"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{key}: {uri} is not text in UTF-8: {error}; save it as UTF-8") from error
    except storage.TooManyBytes as error:
        raise UserError(f"{key}: {uri} has {error}, which is too large for a file of templates") from error
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    if not lines:
        raise UserError(f"{key}: {uri} holds no template; write one a line, such as a satellite photo of {{}}")
    return lines


def described_templates(templates: Any) -> str:
    """In words, for cards: the name of a set, or the first of one's own."""
    if not isinstance(templates, list):
        return str(templates)
    more = f" and {len(templates) - _SHOWN} more" if len(templates) > _SHOWN else ""
    return ", ".join(json.dumps(one, ensure_ascii=False) for one in templates[:_SHOWN]) + more

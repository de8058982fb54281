"""What a YAML configuration of detectron2 is built upon: `_BASE_` names other files, which detectron2 reads, too.

(Beside the backend and not inside it, because it needs no detectron2.)
"""

from pathlib import Path

import yaml

from pipeline.errors import UserError

_KEY = "proposals.options.config"
_MOST = 100


def check_bases(path: Path) -> None:
    """Refuse a chain of bases that leads to another machine, or in a circle. Files are read, nothing in them is run.

    Raises:
        UserError: naming the file.
    """
    waiting, seen = [path], 0
    while waiting:
        file, seen = waiting.pop(), seen + 1
        if seen > _MOST:
            raise UserError(f"{_KEY}: the _BASE_ of {file} leads in a circle")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{_KEY}: {file} cannot be read: {type(error).__name__}: {line}") from error
        bases = content.get("_BASE_", []) if isinstance(content, dict) else []
        for base in bases if isinstance(bases, list) else [bases]:
            if not isinstance(base, str) or "://" in base:
                raise UserError(f"{_KEY}: the _BASE_ of {file} is {base!r}; it has to be a file on this machine")
            waiting.append(file.parent / Path(base).expanduser())

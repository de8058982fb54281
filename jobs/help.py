"""What `--help` shows: the texts beside the fields of a configuration, and a job's usage lines as they are written."""

import argparse
import re

from jsonargparse import DefaultHelpFormatter, set_parsing_settings

# The string under a field of a dataclass is what `--help` says about its key.
set_parsing_settings(docstring_parse_attribute_docstrings=True)


class JobHelp(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Descriptions are not folded, and a type is shown with its limits: "int at least 1 or null"."""

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        name = super()._get_default_metavar_for_optional(action)
        return "{true,false}" if self._get_type_str(action) == "bool" else name

    def _get_type_str(self, action: argparse.Action) -> str | None:
        text = super()._get_type_str(action)
        # Of a choice, all that it can be stands before it: `--regions.fill {mean,zero,none}`.
        return readable_type(text) if text and not text.startswith("Literal") else None


def readable_type(text: str) -> str:
    """A type as jsonargparse writes it, without the marks that are not for the user."""
    text = re.sub(r", <[^<>]*>", "", text).replace("<class 'Path'>", "path")
    for _ in range(text.count("[")):  # from the inside out
        text = re.sub(r"\bAnnotated\[([^\[\],]*(?:\[[^\[\]]*\])?), ([^\[\]]*)\]", r"\1 \2", text)
        text = re.sub(r"\bAnnotated\[([^\[\]]*(?:\[[^\[\]]*\])?[^\[\]]*)\]", r"\1", text)
        text = re.sub(r"\bUnion\[((?:[^\[\]]|\[[^\[\]]*\])*)\]", _choice, text)
        text = re.sub(r"\bOptional\[([^\[\]]*(?:\[[^\[\]]*\])?[^\[\]]*)\]", r"\1 or null", text)
    return text.replace(" | ", " or ").replace(" or null or null", " or null")


def _choice(union: re.Match) -> str:
    """Types that a value may have, and names that it may be: "none or vild or list[str] or str"."""
    return re.sub(r"Literal\[([^\[\]]*)\]", lambda names: names[1].replace("'", ""), union[1]).replace(", ", " or ")

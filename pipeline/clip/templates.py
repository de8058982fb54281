"""Prompt templates: `{}` stands for the noun."""

from collections.abc import Callable

import torch
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from pipeline.clip.template_choice import Templates, TemplateSet, check_templates
from pipeline.errors import UserError

# The 14 of ViLD (Gu et al. 2022), which OVSeg uses everywhere; four of them end without a full stop.
_VILD = [
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    *(
        f"{start} {size} {{}}."
        for start in ("a photo of a", "This is a photo of a")
        for size in ("small", "medium", "large")
    ),
    *(f"There is a {size} {{}} in the scene." for size in ("small", "medium", "large")),
]

TEMPLATES: dict[TemplateSet, list[str]] = {
    "none": ["{}"],
    "photo": ["a photo of a {}."],
    "vild": _VILD,
    "imagenet": [template("{}") for template in OPENAI_IMAGENET_TEMPLATES],
}


def templates_of(templates: Templates, key: str = "templates") -> list[str]:
    """The templates of a set, or those of one's own. No file is read here: `template_choice.read_templates` does.

    Raises:
        UserError: there is no such set, or one of them is no template.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise UserError(f"{key}: there is no set of templates {templates[:80]!r}, but {', '.join(TEMPLATES)}")
        return TEMPLATES[templates]
    return check_templates(templates, key)


def check_fit(tokenizer: Callable[[list[str]], torch.Tensor], templates: Templates, key: str) -> None:
    """Check that templates of one's own leave room for a noun in the context of a CLIP, which cuts off what is longer.

    Args:
        tokenizer: of the CLIP: texts → token ids [B,L].

    Raises:
        UserError: one does not; names the key and the template.
    """
    if isinstance(templates, str):
        return
    for index, template in enumerate(templates_of(templates, key)):
        text = template.format("cat")
        tokens_2L = tokenizer([text, f"{text} cat"])  # what is added shows, unless the context is full
        if torch.equal(tokens_2L[0], tokens_2L[1]):
            raise UserError(
                f"{key}[{index}]: {template!r:.120} is too long: with a noun it fills the {tokens_2L.shape[1]} tokens "
                "of this CLIP's text tower, and the rest would be cut off"
            )

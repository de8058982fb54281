"""Prompt templates: `{}` stands for the noun."""

from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from pipeline.clip.config import TemplateSet

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

"""Which weights of the two towers finetuning moves, by `full.parameters` and `text.parameters`."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.clip import Clip
from pipeline.clip.adapters import train_low_rank, train_parts
from pipeline.clip.projections import Part, Projection, projections, transformer_blocks
from pipeline.errors import UserError
from pipeline.training.config import FullConfig, TextConfig, TrainConfig

_ATTENTION: tuple[Part, ...] = ("q", "k", "v", "out")
# What comes before the blocks, in towers of open_clip, timm and Hugging Face.
_EMBEDDINGS = re.compile(
    r"(?:^|\.)(?:conv1|class_embedding|positional_embedding|ln_pre|patch_embed|pos_embed|cls_token|reg_token|norm_pre|"
    r"token_embedding|cls_emb|embeddings|embed_tokens|embed_positions|shared)\b"
)


@dataclass(frozen=True)
class _Tower:
    key: str
    """Section of the configuration that says what moves."""
    parameters: dict[str, nn.Parameter]
    """By their names in the CLIP."""
    root: nn.Module
    """In which its blocks are."""


def moved_weights(clip: Clip, config: TrainConfig) -> set[str]:
    """Names in the state dict of the CLIP, without adapters, of what phase `full` changes, as a whole or in part.

    Raises:
        UserError: a tower has no such weights, or LoRA's rank does not fit; naming the key.
    """
    found: set[str] = set()
    paths = {id(module): path for path, module in clip.model.named_modules()}
    for tower, section in _moving(clip, config):
        for choice in _choices(tower, section):
            if isinstance(choice, str):
                found.add(choice)
            else:
                found.add(f"{paths[id(choice[0].module)]}.{choice[0].attribute}")
    return found | ({"logit_scale"} if config.full.parameters == "all" else set())


def train_moved(clip: Clip, config: TrainConfig) -> dict[str, nn.Parameter]:
    """Let gradients reach what phase `full` moves, in a CLIP of which nothing requires them; adds adapters as needed.

    Adapters that are there stay as they are. New ones depend on the seed alone.

    Returns:
        what is trained, by its name in the CLIP.

    Raises:
        UserError: as `moved_weights`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for tower, section in _moving(clip, config):
            for choice in list(_choices(tower, section)):
                if isinstance(choice, str):
                    tower.parameters[choice].requires_grad_(True)
                elif section.parameters == "lora":
                    train_low_rank(*choice, section.lora.rank, section.lora.alpha)
                else:
                    train_parts(*choice)
    if config.full.parameters == "all":
        clip.logit_scale.requires_grad_(True)
    trained = {name: parameter for name, parameter in clip.model.named_parameters() if parameter.requires_grad}
    # The order of the optimiser's state in checkpoints.
    return {name: trained[name] for name in sorted(trained, key=lambda name: (name == "logit_scale", is_of_text(name)))}


def is_of_text(name: str) -> bool:
    """Whether a parameter of this name in the CLIP belongs to the text tower."""
    return not name.startswith(("visual.", "logit_")) and name != "prompts"


def _moving(clip: Clip, config: TrainConfig) -> Iterator[tuple[_Tower, FullConfig | TextConfig]]:
    visual = clip.vision.visual
    yield _Tower("full", dict(visual.named_parameters(prefix="visual")), visual), config.full
    if config.text.parameters != "frozen":
        # CoCa has a decoder beside its text tower, which has no part in the embedding of a text.
        own = dict(clip.model.named_children()).get("text")
        parameters = {
            name: parameter
            for name, parameter in clip.model.named_parameters()
            if (is_of_text(name) if own is None else name.startswith("text."))
        }
        root = clip.model.get_submodule("transformer") if own is None else own
        yield _Tower("text", parameters, root), config.text


def _choices(tower: _Tower, section: FullConfig | TextConfig) -> Iterator[str | tuple[Projection, Collection[Part]]]:
    """Names of parameters that move as a whole, and projections of which some parts do."""
    if section.parameters == "all":
        yield from tower.parameters
        return
    blocks = transformer_blocks(tower.root)
    if not blocks:
        kind = type(getattr(tower.root, "trunk", getattr(tower.root, "transformer", tower.root))).__name__
        raise UserError(
            f"{tower.key}.parameters is {section.parameters}, but this CLIP's {_name(tower)} ({kind}) is no sequence "
            f"of blocks with matrices of attention (ViT): set it to all{' or frozen' * (tower.key == 'text')}"
        )
    if section.parameters == "last_blocks":
        yield from _last(tower, blocks, section.last_blocks)
        return
    if section.parameters == "lora":
        parts: Collection[Part] = section.lora.matrices
    else:
        parts = ("q", "v") if section.parameters == "attention_qv" else _ATTENTION
    for block in blocks:
        of_block = [found for found in projections(block) if set(found.parts) & set(parts)]
        if section.parameters == "lora":
            of_block = [found for found in of_block if found.is_matrix]
            for found in of_block:
                _check_rank(tower, found, section.lora.rank)
        absent = [part for part in parts if not any(part in found.parts for found in of_block)]
        if absent:
            raise UserError(
                f"{tower.key}.{'lora.matrices' if section.parameters == 'lora' else 'parameters'}: a block of this "
                f"CLIP's {_name(tower)} ({type(block).__name__}) has no matrix {', '.join(absent)}: leave it out"
            )
        yield from ((found, parts) for found in of_block)


def _last(tower: _Tower, blocks: list[nn.Module], count: int) -> Iterator[str]:
    if count > len(blocks):
        raise UserError(
            f"{tower.key}.last_blocks is {count}, but this CLIP's {_name(tower)} has {len(blocks)} blocks: lower it"
        )
    of_last = {id(parameter) for block in blocks[-count:] for parameter in block.parameters()}
    of_blocks = {id(parameter) for block in blocks for parameter in block.parameters()}
    for name, parameter in tower.parameters.items():
        follows = id(parameter) not in of_blocks and not _EMBEDDINGS.search(name)
        if id(parameter) in of_last or follows:
            yield name


def _check_rank(tower: _Tower, projection: Projection, rank: int) -> None:
    rows, columns = getattr(projection.module, projection.attribute).shape
    smaller = min(rows // len(projection.parts), columns)
    if rank > smaller:
        raise UserError(
            f"{tower.key}.lora.rank is {rank}, but a matrix {'/'.join(projection.parts)} of this CLIP's {_name(tower)} "
            f"has rank {smaller} at most: lower it"
        )


def _name(tower: _Tower) -> str:
    return "text tower" if tower.key == "text" else "image tower"

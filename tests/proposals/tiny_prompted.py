"""Small models with random weights that are asked by names: SAM 3, Grounding DINO and OWLv2, with their tokenizers.

Their weights are large, so that answers differ from name to name and from image to image.
"""

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BertConfig,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    PreTrainedModel,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    SwinConfig,
)

from pipeline.proposals import ProposalsConfig
from tests.proposals.tiny_sam2 import save_tiny_model

CONTEXT = {"sam3": 32, "owlv2": 16, "grounding_dino": 12}
"""Tokens that a text may have, those at its ends included."""
WORDS = ["cat", "dog", "red", "bus", "person", "man", "tree", "café"]


def clip_tokenizer(context: int) -> CLIPTokenizer:
    """Bytes and nothing else, so that it spells whatever there is; ids as CLIP's: the end of a text is the highest."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(vocabulary)}, model_max_length=context)


def bert_tokenizer() -> BertTokenizer:
    """A few words. Ids of the special tokens as BERT's: Grounding DINO knows them by number."""
    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    words = iter([*WORDS, "cafe", "##s", "##y"])
    tokens = [special.get(index) or next(words, f"[unused{index}]") for index in range(1040)]
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)})


def _loud(model: PreTrainedModel, scale: float) -> None:
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "level_embed" not in name:
                parameter.normal_(std=scale / parameter[0].numel() ** 0.5)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)


def tiny_sam3() -> Sam3Model:
    """16 queries, masks of 32 × 32 of an input of 112 × 112."""
    part = {"hidden_size": 32, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = Sam3Model(
        Sam3Config(
            vision_config={
                "backbone_config": {
                    "model_type": "sam3_vit_model",
                    **part, "intermediate_size": 64, "num_hidden_layers": 2, "image_size": 112,
                    "pretrain_image_size": 56, "window_size": 4, "global_attn_indexes": [1],
                },
                "fpn_hidden_size": 32,
                "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            },
            text_config=CLIPTextConfig(
                vocab_size=514, **part, intermediate_size=64, num_hidden_layers=2, projection_dim=16,
                max_position_embeddings=CONTEXT["sam3"], bos_token_id=512, eos_token_id=513, pad_token_id=513,
            ).to_dict(),
            geometry_encoder_config={**part, "num_layers": 1, "intermediate_size": 64},
            detr_encoder_config={**part, "num_layers": 1, "intermediate_size": 64},
            detr_decoder_config={**part, "num_layers": 2, "intermediate_size": 64, "num_queries": 16},
            mask_decoder_config={**part},
        )
    ).eval()  # fmt: skip
    _loud(model, 1.6)
    return model


def tiny_grounding_dino() -> GroundingDinoForObjectDetection:
    """20 queries, two levels of a Swin and one more."""
    torch.manual_seed(0)
    model = GroundingDinoForObjectDetection(
        GroundingDinoConfig(
            backbone_config=SwinConfig(
                embed_dim=16, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=4, out_indices=[2, 3]
            ),
            text_config=BertConfig(
                vocab_size=1040, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
            ),
            d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2,
            encoder_ffn_dim=64, decoder_ffn_dim=64, num_queries=20, num_feature_levels=3,
            max_text_len=CONTEXT["grounding_dino"],
        )
    ).eval()  # fmt: skip
    _loud(model, 1.3)
    return model


def tiny_owlv2() -> Owlv2ForObjectDetection:
    """Patches of 16 of an input of 96 × 96: 36 boxes."""
    torch.manual_seed(0)
    part = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = Owlv2ForObjectDetection(
        Owlv2Config(
            text_config={
                **part, "vocab_size": 514, "max_position_embeddings": CONTEXT["owlv2"], "bos_token_id": 512,
                "eos_token_id": 513,
            },
            vision_config={**part, "image_size": 96, "patch_size": 16},
            projection_dim=32,
        )
    ).eval()  # fmt: skip
    _loud(model, 1.5)
    return model


def save_tiny_prompted(folder: Path, name: str) -> dict:
    """The options of a backend: its weights below `folder`, and thresholds that let some answers pass and some not."""
    place = folder / name
    sam2 = {"sam2_weights": str(folder / "sam2")}
    if name != "sam3" and not (folder / "sam2").exists():
        save_tiny_model(folder / "sam2")
    if name == "sam3":
        tiny_sam3().save_pretrained(place)
        clip_tokenizer(CONTEXT[name]).save_pretrained(place)
        size = {"height": 112, "width": 112}
        Sam3ImageProcessor(size=size, mask_size={"height": 32, "width": 32}).save_pretrained(place)
        return {"weights": str(place), "threshold": 0.3}
    if name == "owlv2":
        tiny_owlv2().save_pretrained(place)
        clip_tokenizer(CONTEXT[name]).save_pretrained(place)
        Owlv2ImageProcessor(size={"height": 96, "width": 96}).save_pretrained(place)
        return {"weights": str(place), "threshold": 0.5} | sam2
    tiny_grounding_dino().save_pretrained(place)
    bert_tokenizer().save_pretrained(place)
    GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}).save_pretrained(place)
    return {"weights": str(place), "threshold": 0.6} | sam2


PROMPTED = ("sam3", "grounding_dino", "owlv2")


def everything(name: str, options: dict, **limits) -> ProposalsConfig:
    """Whatever answers, and is not empty; duplicates, too."""
    return ProposalsConfig(
        name, options, **({"min_area": 0, "max_area": 1, "max_iou": 1, "max_proposals": 1000} | limits)
    )

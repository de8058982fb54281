"""A MaskFormer of `transformers` as the network of this package."""

from transformers import MaskFormerForInstanceSegmentation

from pipeline.proposals.maskformer.network import MaskFormerNetwork


def as_network(model: MaskFormerForInstanceSegmentation) -> MaskFormerNetwork:
    """The same modules, with the same weights; the parts for training are left out."""
    pixel_level = model.model.pixel_level_module
    network = MaskFormerNetwork(
        backbone=pixel_level.encoder,
        pixel_decoder=pixel_level.decoder,
        transformer=model.model.transformer_module,
        mask_embedder=model.mask_embedder,
        class_head=model.class_predictor,
        embedding_width=None,
    )
    return network.eval()

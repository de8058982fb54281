"""What says to Hugging Face, and to people, what the columns are."""

import json

import pyarrow as pa
import yaml

import schemas
from pipeline.clip.template_choice import described_templates
from pipeline.dataset.opening import MinedDataset
from pipeline.escaping.markdown import code, escaped
from pipeline.storage.documents import damaged

_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_PICTURES = {
    "image": "the region's box, scaled by `shards.context`, cut out of the image with its background",
    "mask": "the region in `image`, of the same size",
}
_COLUMNS = [field for field in schemas.MANIFEST if field.name not in ("tar_offset", "tar_length", "crc32")]


def datasets_schema() -> pa.Schema:
    """Image, mask and the columns of the manifests, as `datasets` stores them, which also reads them without a card."""
    features = {name: {"_type": "Image"} for name in _PICTURES}
    features |= {field.name: _feature(field.type) for field in _COLUMNS}
    return pa.schema(
        [*(pa.field(name, _FILE) for name in _PICTURES), *(field.remove_metadata() for field in _COLUMNS)],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def dataset_card(pairs: MinedDataset, rows: int, name: str = "FOLDER") -> str:
    """`README.md` of a folder for `datasets`; its head says where the files are and what is in them.

    Args:
        rows: pairs in all files.
        name: what one gives to `load_dataset`.
    """
    features = [
        *({"name": name, "dtype": "image"} for name in _PICTURES),
        *({"name": field.name, **_type(field.type)} for field in _COLUMNS),
    ]
    head = {
        "tags": ["mask-adapted-clip", "region-text"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}],
        "dataset_info": {
            "config_name": "default",
            "features": features,
        },
    }
    try:
        source, recipe = _source(pairs.description), _recipe(pairs.description)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(pairs.layout.config, f"{type(error).__name__}: {error}") from error
    state = "" if pairs.complete else f"\nMining was not complete: these are {len(pairs.shards)} shards of it.\n"
    columns = "\n".join(
        f"| `{name}` | {meaning} |"
        for name, meaning in [*_PICTURES.items(), *((field.name, _meaning(field)) for field in _COLUMNS)]
    )
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---
# Region–noun pairs mined from image captions

{rows} pairs. Each is a region of an image and a noun of its caption that CLIP found to fit the region best (Liang et
al., Open-Vocabulary Semantic Segmentation with Mask-adapted CLIP, arXiv 2210.04150, Sec. 3.2).
{state}
    from datasets import load_dataset
    pairs = load_dataset("{name}", split="train")

| column | |
|---|---|
{columns}

## Source and licence
{source}. Images and captions keep the licences of their source; the crops are copies
of parts of the images.

## Recipe
{recipe}
"""


def _source(description: dict) -> str:
    captions = description["configuration"]["captions"]
    return f"{escaped(captions['format'])}: {code(captions['path'])}"


def _recipe(description: dict) -> str:
    configuration, models = description["configuration"], description["models"]
    clip, fingerprint = configuration["clip"], description["fingerprint"]
    digest, templates = models["clip"]["sha256"][:16], clip.get("templates")
    model = ", ".join(code(part) for part in (clip["architecture"], clip["weights"]) if part)
    return (
        f"Proposals: {escaped(models['proposals'].get('name', configuration['proposals']['backend']))}.\n"
        f"CLIP: {model}, sha256 {escaped(digest)}…, templates {escaped(described_templates(templates))}.\n"
        f"Captions per image: {escaped(configuration['captions_per_image'])}.\n"
        f"Fingerprint of all settings: {escaped(fingerprint[:16])}…."
    )


def _feature(type_: pa.DataType) -> dict:
    """The type of a column as the metadata of a Parquet file has it; all versions of `datasets` know `Sequence`."""
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "Sequence"}
    return {"dtype": _dtype(type_), "_type": "Value"}


def _type(type_: pa.DataType) -> dict:
    """The same as a card has it."""
    return {"sequence": _dtype(type_.value_type)} if pa.types.is_list(type_) else {"dtype": _dtype(type_)}


def _dtype(type_: pa.DataType) -> str:
    return "float32" if type_ == pa.float32() else str(type_)  # Arrow calls it "float"


def _meaning(field: pa.Field) -> str:
    metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
    unit = f" ({metadata['unit']})" if "unit" in metadata else ""
    null = f"; null: {metadata['null']}" if "null" in metadata else ""
    return (metadata["description"] + unit + null).replace("|", "\\|")

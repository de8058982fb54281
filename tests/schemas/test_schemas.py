"""Every field says what it means."""

import pyarrow as pa
import pytest

import schemas

TABLES = sorted(name for name in schemas.__all__ if isinstance(getattr(schemas, name), pa.Schema))


@pytest.mark.parametrize("name", TABLES)
def test_fields_have_a_description_and_nullable_ones_say_what_null_means(name):
    schema: pa.Schema = getattr(schemas, name)
    assert schema.metadata == {b"table": name.lower().encode(), b"schema_version": str(schemas.VERSION).encode()}
    for field in schema:
        assert field.metadata[b"description"], field.name
        assert field.nullable == (b"null" in field.metadata), field.name


def test_the_json_of_a_sample_is_the_manifest_row_without_its_place_in_the_tar_and_the_crop():
    schema = schemas.sample_schema()
    crop = {"crop_x0", "crop_y0", "crop_x1", "crop_y1"}
    row = [field for field in schemas.MANIFEST if field.name not in ("tar_offset", "tar_length", "crc32")]
    assert set(schema["properties"]) == {field.name for field in row} | crop
    assert set(schema["required"]) == set(schema["properties"])
    kinds = {
        pa.string(): "string",
        pa.int32(): "integer",
        pa.int64(): "integer",
        pa.float32(): "number",
        pa.list_(pa.string()): "array",
    }
    for field in row:
        # One type, also where the manifest may have a null: see tests/dataset/test_shards.py.
        assert schema["properties"][field.name]["type"] == kinds[field.type]

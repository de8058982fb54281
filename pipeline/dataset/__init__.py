"""A mined dataset as it lies on storage: its layout, its shards and tables, and reading and verifying them."""

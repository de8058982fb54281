"""How models are addressed that are no single files."""

LOCAL_DIR = "local-dir:"
"""Before a directory with a CLIP, as open_clip has it."""

HUB = "hf-hub:"
"""Before org/repo on the Hugging Face hub."""

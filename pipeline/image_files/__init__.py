"""What image files are made of, apart from pixels: which kind a file is, and what cameras and programs wrote into it.

Nothing here decodes; `pipeline.images` does, and gives its decoders only what the pixels need.
"""

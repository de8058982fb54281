"""The steps of mining, one plain class a file, in the order the data flows. They work without Ray.

`touch` is called with an image's place in the shard before anything is done with the image (see `attempts`).
"""

"""The steps of mining, one plain class a file, in the order the data flows. They work without Ray.

`announce` is called with an image's index in the shard before anything is done with the image (see
`pipeline.mining.faults.attempts`).
"""

"""Duplicates: which images of a mined dataset are near-duplicates of one another, and which are copies of images that
one evaluates on, by their perceptual hashes.

`near_hashes` groups 64-bit hashes, `groups` the images of a dataset, `leakage` compares them with other images.
"""

"""Masks of image regions: run-length codes, soft masks, boxes."""

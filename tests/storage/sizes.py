"""Sizes of files that tests write."""

MIB = 2**20
MULTIPART_BYTES = 33 * MIB  # more than two parts

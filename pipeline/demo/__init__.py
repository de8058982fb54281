"""The whole method on one machine: a made world, a small CLIP, mining, adaptation, evaluation, a table."""

"""The colours that CLIP knows its pixels by."""

import open_clip
from pipeline.images.clip_colours import CLIP_MEAN, CLIP_STD


def test_they_are_those_of_open_clip():
    assert CLIP_MEAN == open_clip.OPENAI_DATASET_MEAN
    assert CLIP_STD == open_clip.OPENAI_DATASET_STD

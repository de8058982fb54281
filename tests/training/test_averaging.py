"""Weight averaging with the original model."""

import pytest
import torch

from pipeline.clip import load_clip
from pipeline.training.averaging import average_with_original


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_both_towers_and_the_temperature_are_averaged(small_clip, share):
    original, tuned = load_clip(small_clip), load_clip(small_clip)
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter += 1.0
    before = {name: tensor.clone() for name, tensor in tuned.model.state_dict().items()}
    average_with_original(tuned, original, share)
    for name, tensor in tuned.model.state_dict().items():
        expected = share * before[name] + (1 - share) * original.model.state_dict()[name]
        torch.testing.assert_close(tensor, expected, msg=name)


def test_what_was_frozen_stays_as_it_is(small_clip):
    original, tuned = load_clip(small_clip), load_clip(small_clip)
    with torch.no_grad():
        tuned.logit_scale.add_(1)
    average_with_original(tuned, original, 0.3)
    for name, tensor in original.model.state_dict().items():
        assert tuned.model.state_dict()[name].equal(tensor) == (name != "logit_scale"), name

"""Weight averaging with the original model."""

import pytest
import torch

from pipeline.clip import load_clip
from pipeline.training.averaging import average_with_original


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_image_tower_and_the_temperature_are_averaged(small_clip, share):
    original, tuned = load_clip(small_clip), load_clip(small_clip)
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            parameter += 1.0
    before = {name: tensor.clone() for name, tensor in tuned.model.state_dict().items()}
    average_with_original(tuned, original, share)
    for name, tensor in tuned.model.state_dict().items():
        averaged = name.startswith("visual.") or name == "logit_scale"
        expected = share * before[name] + (1 - share) * original.model.state_dict()[name] if averaged else before[name]
        torch.testing.assert_close(tensor, expected, msg=name)

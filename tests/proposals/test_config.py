"""Values of `proposals` that mean nothing."""

import pytest

from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig, load_proposer


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"backend": "maskformer9"}, "proposals.backend"),
        ({"min_area": -0.1}, "proposals.min_area"),
        ({"max_area": 1.5}, "proposals.max_area"),
        ({"min_area": 0.5, "max_area": 0.4}, "proposals.min_area"),
        ({"min_area": float("nan")}, "proposals.min_area"),
        ({"max_iou": 0}, "proposals.max_iou"),
        ({"max_proposals": 0}, "proposals.max_proposals"),
        ({"options": {"working_side": 3}}, "proposals.options.working_side"),
    ],
)
def test_values_that_mean_nothing_are_errors_that_name_the_key(values, key):
    with pytest.raises(UserError, match=rf"^{key}(:| is) "):
        load_proposer(ProposalsConfig(**values))

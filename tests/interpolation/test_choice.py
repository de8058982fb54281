"""Which share is chosen: the rule, against trying all."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.interpolation.choice import Point, choose, gain_of, lost, rule


def point(alpha: float, accuracy: float | None, retention: float, miou: float | None = None) -> Point:
    return Point(alpha, accuracy, miou, retention, {})


SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.505, 0.51, 0.52, 0.75, 1.0])


@given(st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=8), st.sampled_from([0.0, 0.5, 1.0, 2.0, 100.0]))
def test_no_allowed_share_gains_more(values, max_lost):
    points = [point(number / 8, *pair) for number, pair in enumerate(values)]
    chosen = choose(points, max_lost)
    allowed = [one for one in points if round(100 * (points[0].retention - one.retention), 6) <= max_lost]
    assert chosen in allowed
    assert chosen.accuracy == max(one.accuracy for one in allowed)
    assert chosen.alpha == min(one.alpha for one in allowed if one.accuracy == chosen.accuracy)


def test_a_loss_of_exactly_so_much_is_allowed():
    points = [point(0, 0.4, 0.62), point(0.5, 0.5, 0.61), point(1, 0.6, 0.60)]
    assert choose(points, 1.0).alpha == 0.5
    assert round(lost(points, points[2]), 9) == 2
    assert choose(points, 2.0).alpha == 1
    assert rule(points, 1.0) == "most accuracy on masked regions with at most 1 point of retention lost"


def test_miou_decides_where_it_was_measured():
    points = [point(0, 0.4, 0.6, 0.2), point(0.5, 0.5, 0.6, 0.4), point(1, 0.6, 0.6, 0.3)]
    assert gain_of(points) == "miou"
    assert choose(points, 1.0).alpha == 0.5
    assert rule(points, 2.5) == "most mIoU with at most 2.5 points of retention lost"


def test_where_everything_loses_the_original_is_kept():
    assert choose([point(0, 0.1, 0.9), point(1, 0.9, 0.1)], 1.0).alpha == 0

"""The model of right pairs: what it learns from few labels, and that it is judged by what it has not seen."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.errors import UserError
from pipeline.quality.model import FittedModel, fit_model, log_loss, standardise, too_few


def data(count: int, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [L,F] of which two count, right [L], and images with three labels each."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(count, 8)).astype(np.float32)
    return X, 2 * X[:, 0] - X[:, 1] + noise * generator.logistic(size=count) > 0.5, np.arange(count) // 3


def fitted(count: int, **named) -> tuple[FittedModel, np.ndarray, np.ndarray, np.ndarray]:
    X, right, image = data(count, **named)
    return fit_model(X, right, image, np.ones(count, bool)), X, right, image


def test_labels_of_an_image_are_in_one_fold():
    model, X, right, image = fitted(120)
    for each in np.unique(image):
        assert len(np.unique(model.fold[image[model.used] == each])) == 1
    for row, fold in enumerate(model.fold):
        logit = model.folds[fold].logits(X[row : row + 1])[0]
        assert model.uncalibrated[row] == pytest.approx(1 / (1 + np.exp(-logit)))
    # A fold's model is one of the others alone: other labels in the fold change nothing.
    held_out = model.fold == 0
    strength = model.strength
    again = LogisticRegression(C=strength, tol=1e-8, max_iter=1000).fit(
        X[~held_out].astype(np.float64), right[~held_out]
    )
    np.testing.assert_allclose(again.coef_[0], model.folds[0].coefficients, atol=1e-4)


def test_labels_that_mean_nothing_promise_nothing():
    """In sample, eight columns explain twenty labels of chance; out of fold they do not."""
    gains = []
    for seed in range(10):
        X, _, image = data(60, seed=seed)
        right = np.random.default_rng(seed).random(60) < 0.5
        model = fit_model(X, right, image, np.ones(60, bool))
        best = model.uncalibrated >= np.median(model.uncalibrated)
        gains.append(right[best].mean() - right.mean())
    assert abs(np.mean(gains)) < 0.1


def test_few_labels_find_the_right_pairs():
    model, *_ = fitted(60)
    X, right, _ = data(5000, seed=9)
    p = model.p_right(X)
    assert p.dtype == np.float32
    assert right[p >= np.median(p)].mean() > right.mean() + 0.25
    assert log_loss(np.clip(p, 1e-6, 1 - 1e-6), right) < log_loss(np.full(5000, right.mean()), right)


def test_probabilities_are_calibrated():
    model, *_ = fitted(1000)
    X, right, _ = data(20_000, seed=5)
    p = model.p_right(X)
    for low in np.arange(0, 1, 0.2):
        inside = (p >= low) & (p < low + 0.2)
        assert p[inside].mean() == pytest.approx(right[inside].mean(), abs=0.06)


def test_where_the_penalty_makes_a_model_shy_it_is_calibrated():
    """Labels almost without noise."""
    model, *_ = fitted(1000, noise=0.05)
    X, right, _ = data(20_000, noise=0.05, seed=5)
    p = model.p_right(X)
    assert model.platt is not None
    assert model.platt[1] > 1
    shy = 1 / (1 + np.exp(-model.whole.logits(X)))
    assert log_loss(np.clip(p, 1e-6, 1 - 1e-6), right) < log_loss(shy, right)
    assert fitted(100, noise=0.05)[0].platt is None


def test_equal_answers_give_equal_models():
    one, X, *_ = fitted(150)
    other, *_ = fitted(150)
    np.testing.assert_array_equal(one.p_right(X), other.p_right(X))
    np.testing.assert_array_equal(one.out_of_fold, other.out_of_fold)


def test_unclear_labels_are_not_learned_from():
    X, right, image = data(90)
    clear = np.arange(90) % 3 > 0
    model = fit_model(X, right, image, clear)
    np.testing.assert_array_equal(model.used, np.flatnonzero(clear))
    other = fit_model(X, right ^ ~clear, image, clear)
    np.testing.assert_array_equal(model.p_right(X), other.p_right(X))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (10, 5, "15 clear labels (10 right, 5 wrong) are too few for a model: label 5 more in all"),
        (30, 0, "30 clear labels (30 right, 0 wrong) are too few for a model: label 3 more that are wrong"),
        (1, 1, "2 more that are right and 2 more that are wrong and 18 more in all"),
        (0, 0, "20 more in all"),
    ],
)
def test_too_few_labels_say_how_many_more(right, wrong, said):
    answers = np.arange(right + wrong) < right
    assert said in str(too_few(answers))
    columns = np.zeros((right + wrong, 2), np.float32)
    with pytest.raises(UserError, match="too few for a model"):
        fit_model(columns, answers, np.arange(right + wrong), np.ones(right + wrong, bool))
    assert too_few(np.arange(20) < 3) is None


def test_labels_of_one_image_are_refused():
    X, right, _ = data(40)
    with pytest.raises(UserError, match="label pairs of more images"):
        fit_model(X, right, np.zeros(40, np.int64), np.ones(40, bool))


def test_columns_that_say_nothing_and_pairs_far_away():
    columns = np.zeros((100, 3), np.float32)
    columns[:, 0] = 7.25
    columns[:, 1] = np.arange(100)
    columns[0, 2] = 1e9
    standard, mean, deviation = standardise(columns)
    assert standard.dtype == np.float32
    assert (standard[:, 0] == 0).all()
    np.testing.assert_allclose((standard[:, 1].mean(), standard[:, 1].std()), (0, 1), atol=1e-5)
    assert np.abs(standard).max() == 3
    np.testing.assert_allclose(mean[:2], (7.25, 49.5))
    assert np.isfinite(standard).all()
    assert deviation[0] == 1

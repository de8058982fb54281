"""A small model of which pairs are right: logistic regression on columns that are known of every pair.

L labels, P pairs, F columns. Columns are standardised over all pairs of the dataset (not over the labels, which are
few). The strength of the penalty is chosen, and every figure of the model made, by predictions out of fold: labels of
one image are in one fold, and no label is predicted by a model that has seen its image. The penalty is the only thing
chosen on those predictions, out of five.

Calibration: with `_LEAST_PLATT` labels and a tenth of these of each answer, the out-of-fold log odds z become a + b z
by a second logistic regression (Platt, "Probabilistic outputs for support vector machines", 1999; cross-validated for
the figures), if that lowers the loss out of fold. With fewer labels it would add more noise than it removes. Isotonic
regression is not used: its steps give many pairs the same p_right, which then cannot be ordered.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.errors import UserError

LEAST_LABELS, LEAST_EACH = 20, 3
"""Clear labels, and of each answer, from which a model is made."""
_STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
_FOLDS = 5
_LEAST_PLATT = 200
_MOST_LABELS = 20_000
_FAR = 3.0
_LIMIT = 30.0  # of log odds


@dataclass(frozen=True)
class Linear:
    """Log odds as a weighted sum."""

    coefficients: np.ndarray
    """float64 [F], of the standardised columns."""
    intercept: float

    def logits(self, columns_PF: np.ndarray) -> np.ndarray:
        """Log odds float64 [P] of standardised columns."""
        return np.clip(columns_PF @ self.coefficients + self.intercept, -_LIMIT, _LIMIT)


@dataclass(frozen=True)
class FittedModel:
    """A model, and what it says of labels that it has not seen."""

    used: np.ndarray
    """int64 [U]: the answers it was made from, indices into all answers."""
    out_of_fold: np.ndarray
    """float64 [U]: p_right of these, each from a model without its image; calibrated where `platt` is."""
    uncalibrated: np.ndarray
    """float64 [U]: the same before calibration."""
    fold: np.ndarray
    """int64 [U]."""
    folds: tuple[Linear, ...]
    """By fold the model without it."""
    whole: Linear
    """The model from all labels."""
    strength: float
    """C of scikit-learn, the inverse of the penalty."""
    platt: tuple[float, float] | None
    """a and b of the calibration; None: there is none."""

    def p_right(self, columns_PF: np.ndarray) -> np.ndarray:
        """float32 [P]: the probability that each pair is right, of standardised columns."""
        return _sigmoid(_calibrated(self.whole.logits(columns_PF), self.platt)).astype(np.float32)

    def mean_over_folds(self, columns_PF: np.ndarray) -> np.ndarray:
        """float64 [P]: the mean of what the models of the folds say, uncalibrated."""
        return np.mean([_sigmoid(model.logits(columns_PF)) for model in self.folds], axis=0)


def standardise(columns_PF: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns with mean 0 and standard deviation 1 over all pairs, float32 [P,F], and the means and deviations [F].

    What is more than `_FAR` deviations away counts as that far: one odd pair shall not outweigh the rest.
    """
    mean = columns_PF.mean(axis=0, dtype=np.float64)
    deviation = columns_PF.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-9 * np.maximum(np.abs(mean), 1)] = 1  # a column that says nothing
    return np.clip((columns_PF - mean) / deviation, -_FAR, _FAR).astype(np.float32), mean, deviation


def too_few(right: np.ndarray) -> str | None:
    """What is missing for a model; None if nothing is.

    Args:
        right: bool [L], of the clear labels.
    """
    answers = {"right": int(right.sum()), "wrong": int((~right).sum())}
    more = [f"{LEAST_EACH - found} more that are {name}" for name, found in answers.items() if found < LEAST_EACH]
    if len(right) < LEAST_LABELS:
        more.append(f"{LEAST_LABELS - len(right)} more in all")
    found = f"{len(right)} clear labels ({answers['right']} right, {answers['wrong']} wrong)"
    return f"{found} are too few for a model: label {' and '.join(more)}" if more else None


def fit_model(columns_LF: np.ndarray, right: np.ndarray, image: np.ndarray, clear: np.ndarray) -> FittedModel:
    """Fit a model to answers; equal answers give equal models. Of more than 20,000 answers, that many by chance.

    Args:
        columns_LF: standardised columns of the answers' pairs.
        right, clear: bool [L].
        image: int [L], the image of each pair.

    Raises:
        UserError: the labels are too few, of one answer, or all of one or two images.
    """
    used = np.flatnonzero(clear)
    if problem := too_few(right[used]):
        raise UserError(problem)
    if len(used) > _MOST_LABELS:
        used = np.sort(np.random.default_rng(0).choice(used, _MOST_LABELS, replace=False))
    X, y = columns_LF[used].astype(np.float64), right[used]
    fold = _folds(y, image[used])
    best: tuple[float, float, list[Linear], np.ndarray] | None = None
    for strength in _STRENGTHS:
        models = [_fit(X[fold != each], y[fold != each], strength) for each in range(fold.max() + 1)]
        logits = np.choose(fold, [model.logits(X) for model in models])
        loss = log_loss(_sigmoid(logits), y)
        if best is None or loss < best[0] - 1e-4:
            best = loss, strength, models, logits
    assert best is not None
    _, strength, models, logits = best
    platt, calibrated = _calibrate(logits, y, fold)
    return FittedModel(
        used,
        _sigmoid(calibrated),
        _sigmoid(logits),
        fold,
        tuple(models),
        _fit(X, y, strength),
        strength,
        platt,
    )


def log_loss(p: np.ndarray, right: np.ndarray) -> float:
    """Mean of the negative log likelihood, in nats."""
    return float(-np.mean(np.log(np.where(right, p, 1 - p))))


def _folds(right: np.ndarray, image: np.ndarray) -> np.ndarray:
    """int64 [L]: folds by image, with both answers beside each where that is possible."""
    images = min(len(np.unique(image[right])), len(np.unique(image[~right])))
    count = min(_FOLDS, images)
    fold = np.zeros(len(right), np.int64)
    if count >= 2:
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        for number, (_, held_out) in enumerate(splitter.split(fold[:, None], right, image)):
            fold[held_out] = number
    whole = all(len(np.unique(right[fold != each])) == 2 for each in range(count))
    if count < 2 or not whole:
        raise UserError(
            "the labels that are right, or those that are wrong, are of too few images for a model that is tested on "
            "images it has not seen; label pairs of more images"
        )
    return fold


def _fit(X: np.ndarray, y: np.ndarray, strength: float) -> Linear:
    fitted = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=1000).fit(X, y)
    # Rounded far below what matters, so that the last bits of a library leave no trace.
    return Linear(np.round(fitted.coef_[0], 6), float(np.round(fitted.intercept_[0], 6)))


def _calibrate(
    logits: np.ndarray, right: np.ndarray, fold: np.ndarray
) -> tuple[tuple[float, float] | None, np.ndarray]:
    """a and b, and the log odds [L] as they are with those of the other folds."""
    least = min(right.sum(), (~right).sum())
    if len(right) < _LEAST_PLATT or least < _LEAST_PLATT / 10:
        return None, logits
    after = logits.copy()
    for each in range(fold.max() + 1):
        inside = fold == each
        after[inside] = _calibrated(logits[inside], _platt(logits[~inside], right[~inside]))
    platt = _platt(logits, right)
    if platt[1] <= 0 or log_loss(_sigmoid(after), right) > log_loss(_sigmoid(logits), right):
        return None, logits
    return platt, after


def _platt(logits: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    fitted = _fit(logits[:, None], right, 1e3)
    return fitted.intercept, float(fitted.coefficients[0])


def _calibrated(logits: np.ndarray, platt: tuple[float, float] | None) -> np.ndarray:
    return logits if platt is None else np.clip(platt[0] + platt[1] * logits, -_LIMIT, _LIMIT)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))

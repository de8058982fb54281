"""The model of right pairs, made from answers and applied to every pair of a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sklearn

from pipeline.quality.answers import Answers
from pipeline.quality.columns import PairColumns
from pipeline.quality.estimates import Predicted
from pipeline.quality.features import features
from pipeline.quality.model import FittedModel, fit_model, standardise
from pipeline.quality.opinions import Opinion


@dataclass(frozen=True)
class Fit:
    """A model with its columns; P pairs, L answers, F columns."""

    names: list[str]
    """Of the columns."""
    mean: np.ndarray
    """float64 [F], over all pairs."""
    deviation: np.ndarray
    """float64 [F]."""
    model: FittedModel
    p_right: np.ndarray
    """float32 [P], by the model from all answers."""
    blind: np.ndarray
    """float64 [P]: the mean of the models of the folds, uncalibrated: what orders pairs as `blind_labels` do."""
    blind_labels: np.ndarray
    """float64 [L]: of every answer's pair, by a model that has not seen its answer, uncalibrated."""

    def predicted(self, domain: np.ndarray | None = None) -> Predicted:
        """What prediction-powered inference uses.

        Args:
            domain: bool [P]; None: all pairs.
        """
        return Predicted(self.blind_labels, float((self.blind if domain is None else self.blind[domain]).mean()))

    def description(self) -> dict:
        """What the model is, in plain values."""
        whole = self.model.whole
        return {
            "model": "logistic regression",
            "library": f"scikit-learn {sklearn.__version__}",
            "columns": [
                {"name": name, "mean": float(mean), "deviation": float(deviation), "coefficient": float(coefficient)}
                for name, mean, deviation, coefficient in zip(
                    self.names, self.mean, self.deviation, whole.coefficients, strict=True
                )
            ],
            "intercept": whole.intercept,
            "C": self.model.strength,
            "folds": len(self.model.folds),
            "calibration": None if self.model.platt is None else {"a": self.model.platt[0], "b": self.model.platt[1]},
            "answers": len(self.model.used),
        }


def fit(pairs: PairColumns, opinions: Sequence[Opinion], answers: Answers) -> Fit:
    """Fit the model of right pairs.

    Raises:
        UserError: the answers are too few, of one kind, or of too few images.
    """
    names, columns_PF = features(pairs, opinions)
    columns_PF, mean, deviation = standardise(columns_PF)
    answered = columns_PF[answers.row]
    model = fit_model(answered, answers.right, pairs.image[answers.row], answers.clear)
    blind_labels = model.mean_over_folds(answered)
    blind_labels[model.used] = model.uncalibrated
    return Fit(
        names, mean, deviation, model, model.p_right(columns_PF), model.mean_over_folds(columns_PF), blind_labels
    )

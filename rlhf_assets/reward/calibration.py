"""From raw output to the rating it stands for: one line, fitted on votes the model was not trained on."""

import numpy as np


def fit_line(raw: np.ndarray, given: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Weighted least squares {gain, bias} with given ~ gain * raw + bias; the arrays have shape (n,).

    The gain is never below 0, which would turn the model's order round: a model that orders wrongly, or not at all,
    says the mean. Without rows the line is the identity.
    """
    if len(raw) == 0:
        return {"gain": 1.0, "bias": 0.0}
    usual_raw, usual_given = np.average(raw, weights=weight), np.average(given, weights=weight)
    spread = np.average((raw - usual_raw) ** 2, weights=weight)
    together = np.average((raw - usual_raw) * (given - usual_given), weights=weight)
    gain = max(0.0, float(together / spread)) if spread > 1e-12 else 0.0
    return {"gain": gain, "bias": float(usual_given - gain * usual_raw)}

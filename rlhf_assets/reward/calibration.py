"""From raw output to the rating it stands for: one line, fitted on votes the model was not trained on."""

import numpy as np


def fit_line(raw: np.ndarray, given: np.ndarray) -> dict[str, float]:
    """Least squares {gain, bias} with given ~ gain * raw + bias; both arrays have shape (n,).

    The gain is never below 0, which would turn the model's order round: a model that orders wrongly, or not at all,
    says the mean. Without rows the line is the identity.
    """
    if len(raw) == 0:
        return {"gain": 1.0, "bias": 0.0}
    spread = float(np.var(raw))
    together = float(np.mean((raw - raw.mean()) * (given - given.mean())))
    gain = max(0.0, together / spread) if spread > 1e-12 else 0.0
    return {"gain": gain, "bias": float(given.mean() - gain * raw.mean())}

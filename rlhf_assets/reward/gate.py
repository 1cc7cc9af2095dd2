"""Whether a trained reward model may feed the policy."""

from typing import Any


def reward_gate(figures: dict[str, Any], minimum_questions: int) -> list[str]:
    """Reasons to reject the model with these figures of `evaluate_reward`; none means accepted."""
    error, ratio = figures["mse"], figures["mse_ratio"]
    if error["n"] == 0:
        return ["there are no test votes to judge the model by"]
    if figures["questions"] < minimum_questions:
        return [f"its test votes are on {figures['questions']} questions, fewer than {minimum_questions}"]
    if error["value"] is None:
        return ["its predictions on the test votes are not finite"]
    if ratio["value"] is None:
        return [f"its {ratio['n']} test votes all equal the training mean, so that nothing can beat predicting it"]
    if ratio["high"] >= 1:
        return [
            f"its test MSE is not surely below that of predicting the mean: {ratio['value']:.2f} of it, 95 % interval "
            f"{ratio['low']:.2f} to {ratio['high']:.2f}"
        ]
    return []

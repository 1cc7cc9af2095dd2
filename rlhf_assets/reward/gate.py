"""Whether a trained reward model may feed the policy."""

from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_assets.reward.settings import RewardSettings

NOTHING: dict[str, Any] = {"value": None, "low": None, "high": None}


def reward_gates(figures: Mapping[str, Any], settings: RewardSettings) -> dict[str, list[str]]:
    """Reasons against the model with these figures of `assess_reward`, by gate; it is accepted when there are none.

    It has to show that it is better than the mean and than length alone, surely, that is by the whole 95 % interval.
    The other gates close only where the interval lies surely outside, so that few votes do not close them by chance.
    """
    found = {
        "tested": tested,
        "better_than_mean": better_than_mean,
        "better_than_length": better_than_length,
        "no_segment_below_chance": segments,
        "calibrated": calibrated,
        "not_for_length": length,
    }
    return {name: list(gate(figures, settings)) for name, gate in found.items()}


def reasons_today(figures: Mapping[str, Any], settings: RewardSettings) -> list[str]:
    """Reasons against a model by its card's figures, which were measured when other gates or bounds may have stood."""
    try:
        return [reason for told in reward_gates(figures, settings).values() for reason in told]
    except KeyError as missing:
        return [f"its card has no figure {missing}, which a gate asks for"]


def measured(figures: Mapping[str, Any], settings: RewardSettings) -> dict[str, tuple[str, Mapping[str, Any], str]]:
    """What each gate looks at, its figure and the bound that it keeps."""
    enough = settings.minimum_test_questions
    slices = [of for cut in ("segment", "kind") for of in figures[f"by_{cut}"].values() if of["questions"] >= enough]
    orders = [of["spearman"] for of in slices if of["spearman"]["value"] is not None]
    lowest = min(orders, key=lambda of: of["high"], default=NOTHING)
    return {
        "tested": ("questions tested on", {**NOTHING, "value": figures["questions"]}, f"at least {enough}"),
        "better_than_mean": ("MSE to that of saying the mean", figures["mse_ratio"], "surely below 1"),
        "better_than_length": ("MSE to that of length alone", figures["length"]["mse_ratio"], "surely below 1"),
        "no_segment_below_chance": ("Spearman of the worst slice", lowest, "not surely below 0"),
        "calibrated": (
            "calibration error",
            figures["calibration"]["ece"],
            f"not surely above {settings.maximum_calibration_error:g}",
        ),
        "not_for_length": (
            "Spearman with length, the score's less the ratings'",
            figures["length"]["excess"],
            f"not surely beyond {settings.maximum_length_excess:g} either way",
        ),
    }


def tested(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    error, questions = figures["mse"], figures["questions"]
    if error["n"] == 0:
        yield "there are no test votes to judge the model by"
    elif questions < settings.minimum_test_questions:
        yield f"its test votes are on {questions} questions, fewer than {settings.minimum_test_questions}"
    elif error["value"] is None:
        yield "its predictions on the test votes are not finite"


def better_than_mean(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    ratio = figures["mse_ratio"]
    if ratio["value"] is None:
        if figures["mse"]["value"] is not None:
            yield f"its {ratio['n']} test votes all equal the training mean, so that nothing can beat predicting it"
    elif ratio["high"] >= 1:
        yield f"its test MSE is not surely below that of predicting the mean: {told(ratio)} of it"


def better_than_length(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    ratio = figures["length"]["mse_ratio"]
    if ratio["value"] is None:
        if figures["mse"]["value"] is not None:
            yield f"answer length alone says what its {ratio['n']} test votes give, so that nothing can beat it"
    elif ratio["high"] >= 1:
        yield f"its test MSE is not surely below that of answer length alone: {told(ratio)} of it"


def segments(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    for cut in ("segment", "kind"):
        for name, of in figures[f"by_{cut}"].items():
            order = of["spearman"]
            if of["questions"] >= settings.minimum_test_questions and order["value"] is not None and order["high"] < 0:
                yield f"it orders the votes of {cut} {name} worse than chance: Spearman {told(order)}"


def calibrated(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    error, limit = figures["calibration"]["ece"], settings.maximum_calibration_error
    if error["value"] is not None and error["low"] > limit:
        yield f"its calibration error on the test votes is {told(error)}, surely above {limit:g}"


def length(figures: Mapping[str, Any], settings: RewardSettings) -> Iterator[str]:
    of, limit = figures["length"], settings.maximum_length_excess
    excess = of["excess"]
    enough = of["questions"] >= settings.minimum_test_questions
    if enough and excess["value"] is not None and (excess["low"] > limit or excess["high"] < -limit):
        yield (
            f"its score goes with answer length by Spearman {of['correlation_of_score']['value']:.2f}, the ratings by "
            f"{of['correlation_of_ratings']['value']:.2f}: a difference of {told(excess)}, surely beyond {limit:g}"
        )


def told(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.2f} (95 % interval {figure['low']:.2f} to {figure['high']:.2f})"

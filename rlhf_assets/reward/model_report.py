"""How far a reward model can be trusted, as an HTML page."""

from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_assets.report import EMPTY, Table, interval, number, page
from rlhf_assets.reward.gate import measured
from rlhf_assets.reward.settings import RewardSettings

EXPECTED = "A model is accepted when no gate finds anything; a rejected one is not used."
ALL_WELL = "Every gate is open", "Unless it is an experiment, the model may be used."
UNSURE = "No gate closes for that: with few votes chance alone may do it. Look before you rely on the model there."
FEWEST = 10  # questions, or pairs, of which an interval by resampling means something
FEW = "No figure where there are too few votes to tell."
Figures = Mapping[str, Any]


def report_html(
    asset: str, week: str, figures: Figures, settings: RewardSettings, drift: Figures, pictures: Mapping[str, bytes]
) -> str:
    """The page, from the `figures` of `assess_reward`, and `drift` of the model before or why it is `skipped`."""
    reasons = [reason[:1].upper() + reason[1:] + "." for told in figures["gates"].values() for reason in told]
    aged = [f"{drift['model']} has aged: {sentence}." for sentence in drift.get("warnings", [])]
    warnings = [(said, why) for said, why in ((reasons, EXPECTED), (list(unsure(figures)), UNSURE)) if said]
    if aged:
        warnings.append((aged, "Usually a model is as good on this week's new questions as on its own test."))
    return page(
        asset.replace("_", " ").capitalize(),
        week,
        headline(figures),
        warnings,
        ALL_WELL,
        [table for table in (gates(figures, settings), *tables(figures, drift)) if table.rows],
        pictures,
    )


def unsure(figures: Figures) -> Iterator[str]:
    """Where it is not shown to be any good, or says surely something else than people."""
    for cut in ("kind", "segment"):
        for name, of in figures[f"by_{cut}"].items():
            error = of["mse_ratio"]
            if of["questions"] >= FEWEST and error["value"] is not None and error["high"] >= 1:
                yield (
                    f"On votes of {cut} {name} it is not surely better than saying the mean: "
                    f"{interval(error, number)} of its error."
                )
    for of in figures["calibration"]["bins"]:
        given = of["given"]
        if given["n"] < FEWEST:
            continue
        low, said, high = (round(value, 2) for value in (given["low"], of["predicted"], given["high"]))  # as they read
        if not low <= said <= high:
            yield f"Where it says {of['predicted']:.2f}, people give {interval(given, number)}."


def gates(figures: Figures, settings: RewardSettings) -> Table:
    closed = figures["gates"]
    return Table(
        "The gates",
        "What each looks at, with its 95 % interval, and the bound that it keeps.",
        ("", "figure", "must be", ""),
        [
            (
                what,
                str(of["value"]) if name == "tested" else interval(of, number),
                bound,
                "closed" if closed[name] else "open",
            )
            for name, (what, of, bound) in measured(figures, settings).items()
        ],
    )


def headline(figures: Figures) -> dict[str, str]:
    """The few figures to read first, by their caption."""
    return {
        "test votes": str(figures["mse"]["n"]),
        "questions": str(figures["questions"]),
        "of the error of saying the mean": interval(figures["mse_ratio"], number),
        "Spearman with the ratings": interval(figures["spearman"], number),
        "of the pairs ordered rightly": interval(figures["pair_accuracy"], number),
        "calibration error, of scores from 0 to 1": interval(figures["calibration"]["ece"], number),
    }


def tables(figures: Figures, drift: Figures) -> Iterator[Table]:
    yield Table(
        "How good it is",
        "On questions that it was not trained on, with 95 % intervals over questions, which are too narrow for fewer "
        "than ten. MSE ratio is the mean squared error to that of always saying the mean; pairs are answers to one "
        "question that people rated differently, not told where there are fewer than ten. The votes that it gets most "
        "wrong lie beside this page.",
        ("", "questions", "votes", "MSE ratio", "Spearman", "pairs right", "pairs"),
        [
            slice_row("all", figures),
            *(
                slice_row(f"{cut} {name}", of)
                for cut in ("kind", "segment", "week")
                for name, of in figures[f"by_{cut}"].items()
            ),
        ],
    )
    yield Table(
        "Pairs by how far their ratings lie apart",
        f"In points of 1 to 5. Close ones are hard for people too. {FEW}",
        ("margin", "right", "pairs"),
        [(name, interval(of, number), str(of["n"])) for name, of in figures["by_margin"].items()],
    )
    yield ceiling(figures, figures["noise_ceiling"])
    yield Table(
        "Calibration",
        "Of the votes whose prediction lies in a bin, what people gave on average, in scores of 0 to 1. The "
        "calibration error is the mean distance of the two; chance alone makes one of 0.01 to 0.05, the more the fewer "
        "votes there are.",
        ("predicted", "given", "votes"),
        [
            (number(of["predicted"]), interval(of["given"], number), str(of["given"]["n"]))
            for of in figures["calibration"]["bins"]
        ],
    )
    yield thumbs(figures["thumbs"])
    yield length(figures["length"])
    yield more_feedback(figures["learning_curve"])
    yield Table(
        "An earlier model on this week's new questions",
        f"{drift.get('model', 'The model')} on its own test then, and now on questions that nobody had asked before.",
        ("", "then", "now"),
        [("not tried", drift["skipped"], "")]
        if "skipped" in drift
        else [
            (name, interval(drift[key]["then"], number), interval(drift[key]["now"], number))
            for name, key in (("MSE ratio", "mse_ratio"), ("Spearman", "spearman"))
        ],
    )


def slice_row(name: str, of: Figures) -> tuple[str, ...]:
    right = of["pair_accuracy"]
    figures = (interval(of[figure], number) for figure in ("mse_ratio", "spearman"))
    pairs = interval(right, number) if right["n"] >= FEWEST else EMPTY
    return name, str(of["questions"]), str(of["mse"]["n"]), *figures, pairs, str(right["n"])


def ceiling(figures: Figures, best: Figures) -> Table:
    spearman, order = figures["spearman"], best["spearman"]
    known = order and order["value"] and spearman["value"] is not None
    return Table(
        "The ceiling that the raters' noise sets",
        "Nobody can foresee how people who rate the same text differ: the best is what the expected rating of each "
        f"text would reach, judged from {best['votes']} votes of {best['people']} people on {best['answers']} texts "
        "that several of them rated.",
        ("", "this model", "the best there can be", "share"),
        [
            (
                "Spearman",
                interval(spearman, number),
                interval(order, number),
                f"{spearman['value'] / order['value']:.0%}" if known else EMPTY,
            ),
            ("MSE", interval(figures["mse"], precise), interval(best["mse"], precise), ""),
        ],
    )


def thumbs(of: Figures) -> Table:
    return Table(
        "The score read as the chance of a thumb up",
        "As it is, and through the logistic, with its temperature, that fits the thumbs of the validation votes best; "
        f"tried on {of['votes']} thumbs of the test. {FEW}",
        ("", "value"),
        [
            ("calibration error as it is", interval(of["ece_before"], number)),
            ("through the logistic", interval(of["ece_after"], number)),
            ("temperature", EMPTY if of["temperature"] is None else number(of["temperature"])),
        ],
    )


def length(of: Figures) -> Table:
    return Table(
        "Answer length",
        "Whether it likes answers for their length, which a policy would find out. Length alone is a parabola in the "
        "logarithm of the number of characters, fitted on the votes for training and validation.",
        ("", "value"),
        [
            ("Spearman of score and length", interval(of["correlation_of_score"], number)),
            ("Spearman of ratings and length", interval(of["correlation_of_ratings"], number)),
            ("their difference", interval(of["excess"], signed)),
            ("MSE to that of length alone", interval(of["mse_ratio"], number)),
            ("MSE of length alone", interval(of["rule"]["mse"], precise)),
            ("pairs that length alone orders rightly", interval(of["rule"]["pair_accuracy"], number)),
        ],
    )


def more_feedback(curve: Figures) -> Table:
    gain = curve["gain"]
    if gain is None or gain["value"] is None:
        answer = "There are too few questions to tell."
    else:
        answer = "Yes, surely" if gain["low"] > 0 else "That is not shown"
        answer += f": the last doubling of its questions raised Spearman by {interval(gain, signed)}."
    return Table(
        "Would more feedback help?",
        f"{answer} Measured on a ridge regression that reads what the untrained model makes of one rated text a "
        "question: weaker than the reward model, but made in seconds.",
        ("questions", "Spearman"),
        [(str(of["questions"]), interval(of["spearman"], number)) for of in curve["points"]] or [(EMPTY, EMPTY)],
    )


def precise(value: float) -> str:
    return f"{value:.4f}"


def signed(value: float) -> str:
    return f"{value:+.3f}"

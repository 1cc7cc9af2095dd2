"""What in an audit's figures a person should look at, in plain sentences, by the check that it fails."""

from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_assets.feedback.settings import AuditSettings

# What holds where nothing is found; each is a check of feedback_audit.
CHECKS = {
    "balance": "The share of positive votes is about that of the weeks before.",
    "drift": "Ratings, answer lengths, segments and model versions are distributed as in the weeks before.",
    "everybody_is_heard": "People rate as much as in the weeks before, and no segment is silent.",
    "agreement": "People who rate the same answer agree more than chance, and so do thumbs, scores and step ratings.",
    "length": "Longer answers are not rated better or worse merely for being long.",
    "raters": "No person and no suspected group holds more than a small part of the votes.",
    "every_vote_in_a_week": "No vote lacks a date or lies in the future; such votes are in no week.",
}

DISTRIBUTIONS = {
    "ratings": "Ratings",
    "answer_lengths": "Answer lengths in characters",
    "segments": "The raters' segments",
    "model_versions": "The rated model versions",
}
BEFORE = {"week_before": "the week before", "look_back": "the look-back"}


def warnings(figures: Mapping[str, Any], settings: AuditSettings) -> dict[str, list[str]]:
    """Sentences for each of CHECKS; none where all is well or there is too little to tell."""
    found = {
        "balance": balance,
        "drift": drifts,
        "everybody_is_heard": silence,
        "agreement": disagreement,
        "length": length,
        "raters": suspicions,
        "every_vote_in_a_week": outside,
    }
    return {name: list(found[name](figures, settings)) for name in CHECKS}


def balance(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    now, before = figures["positive_share"], figures["positive_share_before"]
    earlier_votes = sum(week["votes"] for week in figures["weeks"].values()) - figures["votes"]["clean"]
    if min(figures["votes"]["clean"], earlier_votes) < settings.minimum_votes or not now or before is None:
        return
    certain = now["low"] is not None and not now["low"] <= before <= now["high"]
    if certain and abs(now["value"] - before) >= settings.balance_change:
        way = "fallen" if now["value"] < before else "risen"
        yield f"Positive votes have {way} from {percent(before)} in the look-back to {percent(now['value'])}."


def drifts(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    for name, title in DISTRIBUTIONS.items():
        compared = {against: found[name] for against, found in figures["drift"].items() if found[name]}
        shifted = {
            against: found
            for against, found in compared.items()
            if found["psi"] >= settings.shifted and found["p"] <= settings.drift_p
        }
        if shifted:
            far = " a lot" if any(found["psi"] >= settings.shifted_a_lot for found in shifted.values()) else ""
            against = " and ".join(f"{BEFORE[against]} (PSI {found['psi']:.2f})" for against, found in shifted.items())
            moved = next(iter(shifted.values()))["moved"]
            yield (
                f"{title} have shifted{far} against {against}: {moved['name']} from {percent(moved['before'])} "
                f"to {percent(moved['now'])} of the votes."
            )


def silence(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    everybody, before = figures["activity"]["all"], figures["rated_share_before"]
    if everybody["messages"] < settings.minimum_votes:
        return
    now = everybody["rated_share"]
    if before and now < settings.unheard * before:
        yield f"People rate less: {percent(now)} of the answers, {percent(before)} in the look-back."
    for name, used in figures["activity"]["segment"].items():
        if used["messages"] >= settings.minimum_votes and used["rated_share"] < settings.unheard * now:
            yield (
                f"Segment {name} is hardly heard: {percent(used['rated_share'])} of its answers are rated, "
                f"{percent(now)} of all."
            )


def disagreement(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    for button, found in figures["agreement"].items():
        if surely(found["alpha"], below=settings.agreement) and found["votes"] >= settings.minimum_votes:
            yield (
                f"People who give the same answer {button} hardly agree: Krippendorff's alpha is "
                f"{found['alpha']['value']:.2f} over {found['answers']} answers."
            )
    for (one, other), found in zip(SIGNALS, figures["signals"].values(), strict=True):
        if surely(found["correlation"], below=settings.agreement) and found["pairs"] >= settings.minimum_votes:
            yield f"{one} and {other} hardly go together: Spearman {found['correlation']['value']:.2f}."


SIGNALS = (("Thumbs", "scores of the same answers"), ("Ratings of answers", "of their steps"))


LENGTHS = (
    ("message", "length_score_correlation", "answers"),
    ("step", "length_score_correlation_of_steps", "steps"),
)


def length(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    limit = settings.length_correlation
    for kind, key, what in LENGTHS:
        found = figures[key]
        if figures["by_kind"].get(kind, {"votes": 0})["votes"] < settings.minimum_votes:
            continue
        if surely(found, below=-limit) or (found and found["low"] is not None and found["low"] > limit):
            better = "better" if found["value"] > 0 else "worse"
            yield f"Longer {what} are rated {better}: Spearman of length and score is {found['value']:.2f}."


def suspicions(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    votes, raters = figures["votes"], figures["raters"]
    suspected = sum(found["votes"] for found in raters["suspected"].values())
    if votes["raw"] >= settings.minimum_votes and suspected > settings.suspected_share * votes["raw"]:
        reasons = ", ".join(
            f"{reason.replace('_', ' ')}: {found['votes']} votes of {people(found['people'])}"
            for reason, found in raters["suspected"].items()
        )
        part = percent(suspected / votes["raw"])
        yield f"{part} of the votes came from suspected raters and are left out ({reasons})."
    busiest = raters["busiest_share"]
    if votes["clean"] >= settings.minimum_votes and busiest > settings.suspected_share:
        yield f"One person gave {percent(busiest)} of the votes."


def outside(figures: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    lost = {name: figures["votes"]["outside"][name] for name in ("no_date", "future")}
    if any(lost.values()):
        told = f"{lost['no_date']} without a date, {lost['future']} in the future"
        yield f"Votes in no week: {told}; mend their created_at."


def surely(found: Mapping[str, float | None] | None, below: float) -> bool:
    """Whether the whole interval lies below that."""
    return bool(found and found["high"] is not None and found["high"] < below)


def people(number: int) -> str:
    return f"{number} person" if number == 1 else f"{number} people"


def percent(share: float) -> str:
    return f"{share:.0%}"

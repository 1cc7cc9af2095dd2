"""An audit's figures as short tables of text, for the report and for the terminal alike."""

from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_assets.feedback.audit_checks import BEFORE, DISTRIBUTIONS, LENGTHS, percent
from rlhf_assets.report import EMPTY, Table, interval, number

OPINIONS = ("good", "neither", "bad", "unrated")  # as rlhf.activity names them


def tables(figures: Mapping[str, Any]) -> list[Table]:
    """All that have a row."""
    return [table for table in made(figures) if table.rows]


def made(figures: Mapping[str, Any]) -> Iterator[Table]:
    votes, activity = figures["votes"], figures["activity"]
    yield Table(
        "Weeks",
        "Positive is the share of votes above the middle among those not in it, with a 95 % interval over people; "
        "rated is the share of the assistant's answers that got a vote in their own week.",
        ("week", "clean votes", "positive", "answers rated"),
        [
            (week, str(of["votes"]), interval(of["positive_share"], percent), share(of["rated_share"]))
            for week, of in reversed(figures["weeks"].items())
        ],
    )
    for cut, title in (("segment", "Segments"), ("model_version", "Model versions")):
        opinions, used = figures[f"by_{cut}"], activity[cut]
        yield Table(
            title,
            "Answers per chat count this week's; came back is the share of the people of the week before who wrote "
            "again in this one.",
            ("", "votes", "positive", "mean score", "answers", "rated", "answers per chat", "came back"),
            [
                (name, *opinion(opinions.get(name)), *usage(used.get(name)))
                for name in sorted(opinions.keys() | used.keys(), key=lambda name: -opinions.get(name, NOBODY)["votes"])
            ],
        )
    yield Table(
        "Votes and other signs of satisfaction",
        "Conversations by what people said of them on average. Where votes tell the truth, people come back more often "
        "after a good one; the unrated say what silence means here.",
        ("conversations", "answers", "rated", "answers per chat", "came back"),
        [
            *((name, *usage(activity["opinion"][name])) for name in OPINIONS if name in activity["opinion"]),
            *([("all", *usage(activity["all"]))] if activity["all"]["messages"] else []),
        ],
    )
    yield Table(
        "Thumbs, scores and steps",
        "Mean score is in points of 1 to 5, a thumb counting as 5 or 1.",
        ("", "votes", "positive", "mean score", "thumbs down", "thumbs up", "1", "2", "3", "4", "5"),
        [
            (
                name,
                *opinion(of),
                *(str(n) for n in (of["thumbs"]["down"], of["thumbs"]["up"], *of["scores"].values())),
            )
            for name, of in (
                *((f"{kind}s", of) for kind, of in figures["by_kind"].items()),
                ("all", figures["overall"]),
            )
        ],
    )
    yield Table(
        "Can the ratings be believed?",
        "This week and its look-back, each with a 95 % interval. Alpha is Krippendorff's for interval data: 1 is "
        "perfect agreement, 0 chance. Correlations are Spearman's.",
        ("", "value", "on"),
        list(trust(figures)),
    )
    yield Table(
        "Drift",
        "Population stability index: from 0.1 a distribution has shifted, from 0.25 a lot. p is how often shuffling "
        "the people between the two sides gives as much.",
        ("", "against", "PSI", "p", "moved most", "before", "now"),
        [
            (
                DISTRIBUTIONS[name],
                BEFORE[against],
                f"{of['psi']:.3f}",
                f"{of['p']:.3f}",
                of["moved"]["name"],
                f"{of['moved']['before']:.1%}",
                f"{of['moved']['now']:.1%}",
            )
            for against, compared in figures["drift"].items()
            for name, of in compared.items()
            if of
        ],
    )
    yield Table(
        "Left out",
        "Votes in quarantine by reason, and votes in the whole database that lie in no week.",
        ("reason", "votes"),
        [
            *((reason, str(n)) for reason, n in figures["quarantined_by_reason"].items()),
            *((f"in no week: {why.replace('_', ' ')}", str(n)) for why, n in votes["outside"].items()),
        ],
    )


NOBODY: Mapping[str, Any] = {"votes": 0}


def trust(figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for button, of in figures["agreement"].items():
        on = f"{of['answers']} answers with several raters, {of['people']} people"
        yield f"alpha of {button} on the same answer", interval(of["alpha"], number), on
    signals = figures["signals"]
    for name, what, on in (
        ("thumbs_and_scores", "thumbs with scores", "answers rated both ways"),
        ("answers_and_steps", "answers with their steps", "answers rated both ways"),
    ):
        of = signals[name]
        yield what, interval(of["correlation"], number), f"{of['pairs']} {on}"
    for kind, key, what in LENGTHS:
        on = f"{figures['by_kind'].get(kind, NOBODY)['votes']} votes of this week"
        yield f"length with score, {what}", interval(figures[key], number), on
    strict = figures["raters"]["strictness"]
    if strict["spread"] is not None:
        yield "spread of strictness", f"{strict['spread']:.2f} points of 1 to 5", f"{strict['people']} people"
        yield "strictest and kindest 5 %", f"{strict['strictest']:+.2f}, {strict['kindest']:+.2f} points", "of these"
        yield "ratings explained by who rates", percent(strict["share_of_variance"]), "of these"


def opinion(of: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if of is None:
        return "0", EMPTY, EMPTY
    mean = EMPTY if of["mean_score"] is None else f"{of['mean_score']:.2f}"
    return str(of["votes"]), share(of["positive_share"]), mean


def usage(of: Mapping[str, Any] | None) -> tuple[str, str, str, str]:
    if of is None:
        return "0", EMPTY, EMPTY, EMPTY
    length = EMPTY if of["answers_per_chat"] is None else f"{of['answers_per_chat']:.2f}"
    return str(of["messages"]), share(of["rated_share"]), length, share(of["returned_share"])


def share(value: float | None) -> str:
    return EMPTY if value is None else percent(value)

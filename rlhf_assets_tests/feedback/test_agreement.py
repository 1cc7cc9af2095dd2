"""Agreement against the published example, and strictness that was planted."""

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.feedback.agreement import agreement, signals, strictness
from rlhf_assets.feedback.audit import votes_of
from rlhf_assets_tests.feedback.votes import clean_frame, identity, step_vote, vote

# Krippendorff, Computing Krippendorff's alpha-reliability (2011), section C: four observers, twelve units.
PUBLISHED = {
    "A": "123321412...",
    "B": "1233224125.3",
    "C": ".3332342251.",
    "D": "12332441251.",
}
NUMBERS = {"value": 0.849, "answers": 11, "votes": 40}


def on_answers(table: dict[str, str], **changes: object) -> pd.DataFrame:
    """Votes of observers (a line of scores each, a column an answer, a dot where they did not look)."""
    rows = [
        vote(
            number,
            user_id=identity(observer),
            query="What?",
            response=f"The answer of number {answer}.",
            feedback=None,
            feedback_score=int(score),
        )
        | changes
        for number, (observer, answer, score) in enumerate(
            (observer, answer, score)
            for observer, line in table.items()
            for answer, score in enumerate(line)
            if score != "."
        )
    ]
    return votes_of(clean_frame(*rows))


def test_alpha_is_the_published_one() -> None:
    found = agreement(on_answers(PUBLISHED))
    assert found["alpha"] is not None
    assert found["alpha"]["value"] == pytest.approx(NUMBERS["value"], abs=5e-4)  # type: ignore[index]
    assert (found["answers"], found["people"], found["votes"]) == (NUMBERS["answers"], 4, NUMBERS["votes"])


def test_alpha_of_perfect_opposite_and_no_agreement() -> None:
    def alpha(table: dict[str, str]) -> object:
        found = agreement(on_answers(table))["alpha"]
        return found and found["value"]  # type: ignore[index]

    assert alpha({"A": "15243", "B": "15243"}) == pytest.approx(1)
    # Each answer gets a 1 and a 5: within 8 on average, 2 * 8 * 5 / 10 = 8; over all ten votes 10 * 4 / 9.
    assert alpha({"A": "15151", "B": "51515"}) == pytest.approx(1 - 8 / (40 / 9))
    assert alpha({"A": "333", "B": "333"}) is None
    assert alpha({"A": "123"}) is None


def test_a_changed_mind_is_no_second_opinion() -> None:
    twice = pd.concat([on_answers({"A": "1"}), on_answers({"A": "5"})])
    assert agreement(twice)["answers"] == 0
    settled = pd.concat([on_answers({"A": "15", "B": "55"}), on_answers({"B": "1."})])
    assert agreement(settled)["alpha"]["value"] == pytest.approx(1)  # type: ignore[index]
    assert agreement(settled)["answers"] == 2


def test_thumbs_against_scores_and_answers_against_steps() -> None:
    rows = []
    for number in range(5):
        same = {"query": "What?", "response": f"The answer of number {number}.", "message_id": identity(number)}
        rows += [
            vote(number, feedback="positive" if number > 2 else "negative", **same),
            vote(10 + number, feedback=None, feedback_score=number + 1, **same),
            step_vote(20 + number, feedback=None, feedback_score=5 - number, message_id=identity(number)),
        ]
    found = signals(votes_of(clean_frame(*rows)))
    # Thumbs rank 2 2 2 4.5 4.5 beside 1 2 3 4 5.
    assert found["thumbs_and_scores"]["correlation"]["value"] == pytest.approx(3 / np.sqrt(12))  # type: ignore[index]
    assert found["answers_and_steps"]["correlation"]["value"] == pytest.approx(-1)  # type: ignore[index]
    assert [of["pairs"] for of in found.values()] == [5, 5]


def rated(strict: np.ndarray, each: int, noise: float) -> pd.DataFrame:
    """Votes of people who differ by `strict` points and are unsure by `noise`."""
    draw = np.random.default_rng(0)
    person = np.repeat(np.arange(len(strict)), each)
    points = strict[person] + draw.normal(0, noise, len(person))
    return pd.DataFrame(
        {
            "rater": person.astype(str),
            "kind": "message",
            "is_thumb": False,
            "model_version": "v1",
            "score": (3 - points - 1) / 4,
        }
    )


def test_planted_strictness_is_found_and_noise_is_not() -> None:
    found = strictness(rated(np.random.default_rng(1).normal(0, 0.5, 400), each=30, noise=1.0))
    assert found["spread"] == pytest.approx(0.5, rel=0.15)
    assert found["share_of_variance"] == pytest.approx(0.25 / 1.25, rel=0.15)
    assert found["strictest"] == pytest.approx(-1.645 * 0.5, rel=0.2)
    none = strictness(rated(np.zeros(400), each=5, noise=1.0))
    assert none["spread"] == pytest.approx(0, abs=0.1)


def test_strictness_is_not_which_model_a_person_met() -> None:
    votes = rated(np.zeros(40), each=10, noise=0.3)
    worse = (votes["rater"].astype(int) < 20).to_numpy()
    met = votes.assign(score=votes["score"] - 0.5 * worse, model_version=np.where(worse, "old", "new"))
    assert strictness(met)["spread"] == pytest.approx(0, abs=0.05)
    assert strictness(met.assign(model_version="v1"))["spread"] == pytest.approx(1, abs=0.05)

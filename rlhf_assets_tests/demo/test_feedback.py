"""The shipped feedback: what the code makes, of the size and dirt that was promised."""

from collections import Counter

import numpy as np
import pytest

from rlhf_assets.demo.answers import ANSWERS
from rlhf_assets.demo.feedback import FEEDBACK, HOURS, simulate
from rlhf_assets.demo.lines import read_lines
from rlhf_assets.demo.users import MESSAGE_SCALE, as_score, expected_score, population


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict]]:
    tables: dict[str, list[dict]] = {}
    for row in read_lines(FEEDBACK):
        tables.setdefault(row["table"], []).append(row)
    return tables


def test_shipped_file_is_what_the_code_makes() -> None:
    assert list(read_lines(FEEDBACK)) == simulate(list(read_lines(ANSWERS)))


def test_size() -> None:
    assert FEEDBACK.stat().st_size + ANSWERS.stat().st_size < 3_000_000
    answers = list(read_lines(ANSWERS))
    per_question = Counter(a["query"] for a in answers if not a["context"])
    assert len(per_question) >= 1_000
    assert sum(n > 1 for n in per_question.values()) > len(per_question) / 2


def test_ratings_of_every_kind(rows: dict[str, list[dict]]) -> None:
    votes = rows["chat_feedback"]
    assert len(votes) >= 2_500
    assert len({v["user_id"] for v in votes}) >= 200
    assert {u["segment"] for u in rows["users"]} == {"homeowner", "professional", "student"}
    assert {v["feedback_score"] for v in votes} == {None, 1, 2, 3, 4, 5}
    assert sum(v["step_id"] is not None for v in votes) > 500
    assert {int(v["created_at"] // 168) for v in votes} == set(range(12))
    assert all(0 <= v["created_at"] < HOURS for v in votes)


def test_dirt_is_there(rows: dict[str, list[dict]]) -> None:
    votes = rows["chat_feedback"]
    messages = rows["messages"]
    assert sum(v["feedback"] is None and v["feedback_score"] is None for v in votes) == 40
    assert sum(v["message_id"] is None and v["step_id"] is None for v in votes) == 25
    assert sum(v["message_id"] is not None and messages[v["message_id"]]["role"] == "user" for v in votes) == 30
    assert max(Counter(v["user_id"] for v in votes).values()) >= 200


def test_expected_score_is_the_mean_of_many_raters() -> None:
    draw = np.random.default_rng(0)
    liked = np.array([0.3, 0.7])
    given = []
    for user in population():
        s = user.segment
        for _ in range(40):
            if draw.random() < s.rates_message:
                felt = [user.opinion(x, MESSAGE_SCALE) + draw.normal(0, s.noise) for x in liked]
                given.append([float(f > 3) if draw.random() < s.thumbs else (as_score(f) - 1) / 4 for f in felt])
    assert expected_score(liked, MESSAGE_SCALE) == pytest.approx(np.mean(given, axis=0), abs=0.02)

import re
from typing import Any

import numpy as np
import pytest

from rlhf_assets.feedback.personal_data import PersonalData
from rlhf_assets.policy.comparison import NO_LANGUAGE, compare
from rlhf_assets.policy.plots import by_kind, training_history, win_rates
from rlhf_assets.policy.policy_report import pictures, report_html
from rlhf_assets.policy.settings import GateSettings
from rlhf_assets_tests.policy.planted import planted_answers

WEEK = "2026-11-15"
N = 160
ROUND = {"score": 0.1, "kl": 1.0, "length": 20.0, "stop_rate": 0.5}
PPO = {
    "history": [{name: value + 0.1 * at for name, value in ROUND.items()} for at in range(7)],
    "judged": [{"update": 3, "judge": 0.2}, {"update": 6, "judge": 0.4}, {"update": 7, "judge": 0.3}],
    "chosen_update": 6,
}
ANSWERS = [("What is a heat <pump>?", {"sft": "A pump.\n\nIt heats.", "ppo": "<script>alert(1)</script>"})]


def planted_figures(better: float = 1.5) -> dict[str, Any]:
    """Four policies through the real comparison; the candidate is so many deviations better by the judge."""
    chance = np.random.default_rng(0)
    answers = {
        name: planted_answers(
            N, judge=chance.normal(mean, 1, N), gold=chance.normal(mean, 1, N), lengths=chance.integers(20, 60, N)
        )
        for name, mean in (("base", -1.0), ("sft", 0.0), ("best_of_n", 0.5), ("ppo", better))
    }
    answers["best_of_n"] = planted_answers(N, language=NO_LANGUAGE, **answers["best_of_n"].scores)
    rows = [{"query": f"{i}?", "context": "[]", "segment": ["student", "farmer"][i % 2]} for i in range(N)]
    figures = compare(answers, rows, PersonalData(["US"]), seed=0)
    return {**figures, "prompts": N, "best_of": 4, "reference": "sft"}


def page_of(
    figures: dict[str, Any],
    ppo: dict[str, Any] = PPO,
    settings: GateSettings = GateSettings(),  # noqa: B008
    answers: list[Any] = ANSWERS,
) -> str:
    return report_html(WEEK, figures, ppo, settings, answers, pictures(figures, ppo))


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return planted_figures()


def test_the_page_shows_all_there_is(figures: dict[str, Any]):
    page = page_of(figures)
    assert "The gate finds nothing" in page
    wins = figures["win_rates"]["ppo_vs_sft"]
    for of in (wins["judge"], wins["length_controlled"]):
        assert f"{100 * of['value']:.0f} % ({100 * of['low']:.0f} % to {100 * of['high']:.0f} %)" in page
    for said in (
        "PPO against best of n", "judge at equal length", "PPO against SFT, segment farmer", "say nothing",
        "plain questions right", "<td>75 %</td>", "<b>6</b>update of PPO that the judge chose",
    ):  # fmt: skip
        assert said in page
    assert page.count("data:image/png") == 3
    assert page.count('class="row"') == 1, "the panels of the training have a row to themselves"


def test_the_gates_reasons_stand_first(figures: dict[str, Any]):
    page = page_of(figures, settings=GateSettings(kl_budget=1, minimum_prompts=500))
    assert "The gate finds nothing" not in page
    far = "Its distance from the SFT policy is 5.00 nats a reply and must be at most 1."
    assert page.index("It was compared on 160 held-out prompts only") < page.index(far) < page.index("Win rates")


def test_a_rate_that_nobody_knows_is_no_number(figures: dict[str, Any]):
    unknown = dict.fromkeys(("value", "low", "high"), float("nan"))
    pair = {**figures["win_rates"]["ppo_vs_sft"], "length_controlled": unknown}
    page = page_of({**figures, "win_rates": {**figures["win_rates"], "ppo_vs_sft": pair}})
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page).lower()
    assert "its win rate at equal length is unknown" in page


def test_answers_are_escaped_and_keep_their_lines(figures: dict[str, Any]):
    page = page_of(figures)
    assert "<td>A pump.\n\nIt heats.</td>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "What is a heat &lt;pump&gt;?" in page
    assert page.count('class="prose"') == 1
    assert 'class="prose"' not in page_of(figures, answers=[])


def test_best_of_n_has_no_language_and_unknown_figures_no_number(figures: dict[str, Any]):
    policies = figures["policies"]
    unknown = {**figures, "policies": {**policies, "base": {**policies["base"], "kl": float("nan")}}}
    page = page_of(unknown, ppo={})
    said = re.sub('base64,[^"]*', "", page)
    assert "nan" not in said
    assert "None" not in said
    language = page.split("Their language")[1].split("</table>")[0]
    assert "best of n" not in language
    assert "SFT" in language
    assert page.count("data:image/png") == 2  # no history, no picture of it


def test_plots_are_pictures():
    interval = {"value": 0.6, "low": 0.5, "high": 0.7}
    wins = {"ppo_vs_sft": {"judge": interval, "gold": interval}, "ppo_vs_base": {"judge": interval, "gold": interval}}
    for picture in (
        training_history([ROUND, ROUND | {"kl": None}]),
        training_history(PPO["history"], PPO["judged"], PPO["chosen_update"]),
        win_rates(wins),
        by_kind({"segment <a$b$>": {"judge": interval, "n": 20}}, "PPO against SFT"),
    ):
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5_000

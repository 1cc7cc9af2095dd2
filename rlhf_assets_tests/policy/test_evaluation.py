from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.answers import decode
from rlhf_assets.policy.evaluation import answer, best_of_n, best_of_n_kl, evaluate_policies
from rlhf_assets.policy.language import language_figures
from rlhf_assets.policy.settings import EvaluationSettings
from rlhf_assets.policy.weights import load_policy
from rlhf_assets.statistics import win_rate
from rlhf_assets_tests.policy.conftest import FP32, constant, share_of
from rlhf_assets_tests.tiny_models import tiny_llama

SETTINGS = EvaluationSettings(max_new_tokens=8, prompts=12, micro_batch_size=5)


def length(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    return np.array([len(response) for response in responses], float)


def test_policies_are_compared_on_the_same_prompts(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    other = tiny_llama(tmp_path / "other", seed=5)
    scorers = {"judge": length, "gold": share_of("e")}
    policies = {"base": other, "sft": llama, "ppo": other, "promoted": llama}
    outcome = evaluate_policies(policies, prompts, scorers, "sft", SETTINGS, FP32)
    figures, samples = outcome.figures, outcome.samples
    assert set(figures["win_rates"]) == {
        "sft_vs_base", "ppo_vs_base", "ppo_vs_sft", "ppo_vs_promoted", "promoted_vs_base", "promoted_vs_sft"
    }  # fmt: skip
    assert len(samples) == 48
    assert samples.groupby("policy")["prompt_id"].apply(list).map(tuple).nunique() == 1
    by = samples.set_index(["policy", "prompt_id"])
    ours, theirs = by.loc["ppo", "judge"].to_numpy(), by.loc["sft", "judge"].to_numpy()
    assert figures["win_rates"]["ppo_vs_sft"]["judge"] == win_rate(ours, theirs, SETTINGS.seed).as_dict()
    assert figures["win_rates"]["ppo_vs_base"]["gold"] == {"value": 0.5, "low": 0.5, "high": 0.5}  # the same model
    assert figures["policies"]["ppo"]["judge"]["value"] == pytest.approx(ours.mean())
    assert figures["policies"]["sft"]["kl"] == 0
    assert figures["policies"]["promoted"]["kl"] == pytest.approx(0, abs=1e-4)
    assert figures["policies"]["sft"]["stop_rate"] == samples.query("policy == 'sft'")["stopped"].mean()
    assert 1 <= figures["policies"]["sft"]["length"] <= 8


def test_kl_is_the_exact_divergence_of_whole_replies(gpt2: Path, prompts: pd.DataFrame, tmp_path: Path):
    """Policies whose next token never depends on anything: KL a token is that of two known distributions."""
    never = {load_policy(gpt2, FP32)[1].eos_token_id: -50.0}
    q = constant(gpt2, tmp_path / "flat", never).log_softmax(0)
    p = constant(gpt2, tmp_path / "peaked", never | dict.fromkeys(range(50, 80), 3.0)).log_softmax(0)
    exact = (p.exp() * (p - q)).sum().item()
    many = EvaluationSettings(max_new_tokens=200, prompts=20)
    policies = {"sft": tmp_path / "flat", "ppo": tmp_path / "peaked"}
    figures = evaluate_policies(policies, prompts, {"judge": length}, "sft", many, FP32).figures
    assert figures["policies"]["ppo"]["length"] == 200
    assert figures["policies"]["ppo"]["kl"] == pytest.approx(200 * exact, rel=0.05)


def test_no_distance_is_made_up_between_policies_of_different_vocabularies(
    llama: Path, gpt2: Path, prompts: pd.DataFrame
):
    figures = evaluate_policies({"promoted": gpt2, "sft": llama}, prompts, {"judge": length}, "sft", SETTINGS, FP32)
    assert np.isnan(figures.figures["policies"]["promoted"]["kl"])
    assert figures.figures["policies"]["sft"]["kl"] == 0


def test_each_reply_keeps_its_own_log_probability(llama: Path, prompts: pd.DataFrame):
    answered = answer(llama, prompts.to_dict("records"), SETTINGS, FP32)
    drawn = [sum(reply.log_probs) for reply in answered.replies]
    assert answered.log_probs == pytest.approx(np.array(drawn), abs=1e-3)


def test_evaluation_repeats_itself(llama: Path, prompts: pd.DataFrame):
    runs = [
        evaluate_policies({"base": llama, "sft": llama}, prompts, {"judge": length}, "sft", SETTINGS, FP32)
        for prompts in (prompts, prompts.sample(frac=1, random_state=1))  # whatever the order of the rows
    ]
    pd.testing.assert_frame_equal(runs[0].samples, runs[1].samples)
    assert runs[0].figures == runs[1].figures


def test_best_of_n_is_what_the_reward_likes_best_of_the_sft_policys_own_replies(llama: Path, prompts: pd.DataFrame):
    """The judge and its favourites have no say; of replies that the reward likes alike the SFT policy's own is kept."""
    asked: list[tuple[str, str]] = []

    def likes_e(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        asked.extend(zip(queries, responses, strict=True))
        return share_of("e")(queries, responses, contexts)

    outcome = evaluate_policies(
        {"base": llama, "sft": llama, "ppo": llama}, prompts, {"judge": length}, "sft", SETTINGS, FP32, likes_e
    )
    samples = outcome.samples.set_index(["policy", "prompt_id"])
    assert len(asked) == 12 * 4
    for at, (query, own) in enumerate(zip(samples.loc["sft", "query"], samples.loc["sft", "response"], strict=True)):
        replies = asked[at::12]
        assert {said for said, _ in replies} == {query}
        assert replies[0][1] == own
        assert len({reply for _, reply in replies}) > 1  # each of them drawn by itself
        liked = [reply.count("e") / max(len(reply), 1) for _, reply in replies]
        assert samples.loc["best_of_n", "response"].iloc[at] == replies[int(np.argmax(liked))][1]
    assert {"ppo_vs_best_of_n", "best_of_n_vs_sft"} <= set(outcome.figures["win_rates"])
    best = outcome.figures["policies"]["best_of_n"]
    assert (best["perplexity"], best["questions_right"]) == (None, None)
    assert best["kl"] == pytest.approx(best_of_n_kl(4)) == pytest.approx(1.3863 - 0.75, abs=1e-4)

    same = evaluate_policies(
        {"sft": llama}, prompts, {"judge": length}, "sft", SETTINGS, FP32, lambda q, r, c: np.zeros(len(q))
    )
    said = same.samples.set_index("policy")["response"]
    assert said["best_of_n"].tolist() == said["sft"].tolist()


def test_the_best_of_n_are_the_replies_that_its_texts_come_from(llama: Path, prompts: pd.DataFrame):
    rows = prompts.to_dict("records")
    first, tokenizer = answer(llama, rows, SETTINGS, FP32), load_policy(llama, FP32)[1]
    queries, contexts = prompts["query"].tolist(), prompts["context"].tolist()
    best = best_of_n(llama, first, queries, contexts, share_of("e"), SETTINGS, FP32)
    assert best.texts != first.texts
    assert [decode(tokenizer, reply) for reply in best.replies] == best.texts


def test_every_policy_but_best_of_n_is_asked_for_its_language(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    other = tiny_llama(tmp_path / "other", seed=5)
    figures = evaluate_policies(
        {"sft": llama, "ppo": other}, prompts, {"judge": length}, "sft", SETTINGS, FP32
    ).figures["policies"]
    for name, folder in (("sft", llama), ("ppo", other)):
        told = language_figures(*load_policy(folder, FP32), FP32)
        assert {key: figures[name][key] for key in told} == pytest.approx(told)
    assert figures["sft"]["perplexity"] != figures["ppo"]["perplexity"]


def test_no_prompts_and_broken_scorers_fail(llama: Path, prompts: pd.DataFrame):
    with pytest.raises(RlhfError, match="no held-out prompts"):
        evaluate_policies({"sft": llama}, prompts.head(0), {"judge": length}, "sft", SETTINGS, FP32)
    with pytest.raises(RlhfError, match="NaN"):
        evaluate_policies(
            {"sft": llama}, prompts, {"judge": lambda q, r, c: length(q, r, c) * np.nan}, "sft", SETTINGS, FP32
        )

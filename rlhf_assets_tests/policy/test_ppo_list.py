"""What a PPO for RLHF must get right, line by line of the list; worked numbers stand beside each function.

Line 19, a killed training that goes on to the same numbers, is test_ppo_resume.py. What no single test can hold: line
20, four seeds, and the curve of line 21 are `benchmarks/ppo_learning.py`; line 22, what a reward model must show beside
its accuracy before PPO may follow it, is reward/test_gate.py.
"""

import copy
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy import ppo
from rlhf_assets.policy.advantages import gae, whiten
from rlhf_assets.policy.answers import decode
from rlhf_assets.policy.batching import pad_left, pad_right, positions
from rlhf_assets.policy.history import check_reference, check_unmoved, round_figures, step_figures
from rlhf_assets.policy.ppo_trainer import PpoTrainer
from rlhf_assets.policy.rewards import RewardScale, token_rewards
from rlhf_assets.policy.rollouts import Assessment, Rollout, thinned
from rlhf_assets.policy.sampling import Reply, sample
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.value import ValueHead, explained_variance
from rlhf_assets.policy.weights import load_policy, sampling_copy
from rlhf_assets_tests.policy.conftest import FP32, QUICK, constant, share_of


def trainer(folder: Path, prompts: pd.DataFrame, **changed: object) -> PpoTrainer:
    settings = QUICK.model_copy(update=changed)
    return PpoTrainer(str(folder), prompts.to_dict("records"), share_of("e"), settings, FP32)


def assessed(one: PpoTrainer, update: int = 1) -> tuple[Rollout, Assessment, torch.Tensor, torch.Tensor]:
    """A calibrated trainer's rollout with advantages and returns."""
    rollout = one.collect(update, one.settings.prompts_per_update)
    assessment = one.assess(rollout)
    advantages, returns = gae(one.rewards(rollout, assessment), assessment.values, rollout.mask, 1.0, 0.95)
    return rollout, assessment, advantages, returns


# Sequences


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_line_1_pad_is_a_token_of_its_own(family: str, request: pytest.FixtureRequest):
    model, tokenizer = load_policy(request.getfixturevalue(family), FP32)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_line_1_prompts_are_padded_left_and_positions_count_from_their_own_start():
    ids, mask = pad_left([[7, 8, 9], [7]], pad=0)
    assert ids.tolist() == [[7, 8, 9], [0, 0, 7]]
    assert positions(mask).tolist() == [[0, 1, 2], [0, 0, 0]]
    assert positions(torch.cat([mask, torch.ones(2, 1, dtype=int)], 1))[:, -1].tolist() == [3, 1]


def test_line_2_rollouts_differ(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts.head(1))
    first, second = one.collect(1, 8), one.collect(2, 8)
    assert len(set(first.texts)) == 8
    assert not set(first.texts) & set(second.texts)
    assert trainer(llama, prompts.head(1)).collect(1, 8).texts == first.texts  # yet the seed decides


def test_line_3_all_log_probabilities_are_divided_by_the_temperature(llama: Path, prompts: pd.DataFrame):
    """The sampler states the distribution that it drew from; learner and reference must find the same one."""
    one = trainer(llama, prompts, temperature=0.25)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    drawn = torch.tensor([value for reply in rollout.replies for value in reply.log_probs])
    assert_close(assessment.log_probs[rollout.mask], drawn, atol=1e-4, rtol=1e-4)
    assert_close(assessment.reference_log_probs, assessment.log_probs)
    step = one.learner.gradients(rollout, list(range(8)), assessment, advantages, returns)
    assert step["ratio_mean"] == pytest.approx(1, abs=1e-4)
    untempered = trainer(llama, prompts, temperature=1.0).assess(rollout)
    assert (untempered.log_probs - assessment.log_probs).abs().max() > 0.01


def test_line_4_a_reply_is_cut_at_its_first_stop_token(llama: Path):
    model, tokenizer = load_policy(llama, FP32)
    prompts = [[5, 6, 7], [8, 9], [10]] * 8
    free = sample(model, prompts, range(24), [], 12, 1.0, 64)
    stop = free[0].tokens[3]
    cut = sample(model, prompts, range(24), [stop], 12, 1.0, 64)
    for whole, reply in zip(free, cut, strict=True):
        expected = whole.tokens[: whole.tokens.index(stop) + 1] if stop in whole.tokens else whole.tokens
        assert reply.tokens == expected
        assert reply.stopped == (stop in whole.tokens)
    assert 0 < sum(reply.stopped for reply in cut) < 24
    assert decode(tokenizer, Reply([*tokenizer.encode("Yes."), tokenizer.eos_token_id], [], True)) == "Yes."


def test_line_4_nothing_beyond_a_reply_enters_learning(llama: Path, prompts: pd.DataFrame):
    """Garbage in every padded place of what the learner is given changes neither whitening nor gradients."""
    one = trainer(llama, prompts)
    one.calibrate()
    rollout, _, _, _ = assessed(one)
    replies = [Reply(reply.tokens[: i + 1], reply.log_probs[: i + 1], True) for i, reply in enumerate(rollout.replies)]
    rollout = Rollout(rollout.prompts, replies, rollout.texts, rollout.scores)

    def learn(garbage: float) -> tuple[dict[str, float], torch.Tensor]:
        assessment = one.assess(rollout)
        for table in (assessment.log_probs, assessment.reference_log_probs, assessment.values):
            table[~rollout.mask] = garbage
        advantages, returns = gae(one.rewards(rollout, assessment), assessment.values, rollout.mask, 1.0, 0.95)
        advantages = whiten(advantages, rollout.mask, keep_mean=False)
        advantages[~rollout.mask] = returns[~rollout.mask] = garbage
        figures = one.learner.gradients(rollout, list(range(8)), assessment, advantages, returns)
        return figures, torch.cat([weight.grad.flatten().clone() for weight in one.learner.weights])

    clean, clean_gradient = learn(0.0)
    spoilt, spoilt_gradient = learn(1e9)
    assert spoilt == clean
    assert_close(spoilt_gradient, clean_gradient)


def test_line_5_reward_is_read_from_text_with_prompt_and_response(llama: Path, prompts: pd.DataFrame):
    seen = []

    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        seen.extend(zip(queries, responses, contexts, strict=True))
        return np.arange(len(queries), dtype=float)

    prompts = prompts.assign(query=[f"{i}. {query}" for i, query in enumerate(prompts["query"])])
    one = trainer(llama, prompts)
    one.score = score
    rollout = one.collect(1, 20)
    asked = {(query, context) for query, _, context in seen}
    assert asked == set(zip(prompts["query"], prompts["context"], strict=True))
    for (query, _, _), answered in zip(seen, rollout.prompts, strict=True):
        assert query in one.tokenizer.decode(answered)
    assert [response for _, response, _ in seen] == rollout.texts
    assert "<|im_end|>" not in "".join(rollout.texts)


def test_line_6_the_batch_shrinks_and_ends_with_its_last_row(llama: Path, monkeypatch: pytest.MonkeyPatch):
    model, _ = load_policy(llama, FP32)
    sizes, forward = [], type(model).forward

    def counted(self: torch.nn.Module, input_ids: torch.Tensor, **rest: object) -> object:
        sizes.append(tuple(input_ids.shape))
        return forward(self, input_ids=input_ids, **rest)

    prompts = [[5, 6, 7], [8, 9], [10]] * 10
    stops = range(200)  # half of the vocabulary
    monkeypatch.setattr(type(model), "forward", counted)
    replies = sample(model, prompts, range(30), stops, 100, 1.0, 64)
    assert all(reply.stopped for reply in replies)
    assert len(sizes) == max(len(reply.tokens) for reply in replies) < 20
    assert sizes[0] == (30, 3)
    assert sizes[-1][0] <= 3  # rows that still wait, not all thirty


def test_line_6_padding_is_trimmed_to_the_longest_row_left():
    batch = pad_right([[1, 2], [3]], [[4], [5, 6, 7]], pad=0, device="cpu")
    assert batch.input_ids.tolist() == [[1, 2, 4, 0], [3, 5, 6, 7]]
    assert batch.predicts.tolist() == [[False, True, False, False], [True, True, True, False]]
    assert batch.targets.tolist() == [4, 5, 6, 7]
    assert pad_right([[1, 2]], [[4]], pad=0, device="cpu").input_ids.shape == (1, 3)


def test_line_6_micro_batches_hold_rows_of_like_length(llama: Path, prompts: pd.DataFrame):
    rollout = trainer(llama, prompts).collect(1, 8)
    lengths = [len(p) + len(t) for p, t in zip(rollout.prompts, rollout.tokens, strict=True)]
    groups = [[lengths[i] for i in rows] for rows in rollout.micro_batches(range(8), 4)]
    assert [len(group) for group in groups] == [4, 4]
    assert max(groups[0]) <= min(groups[1])


# Rewards


def test_line_7_the_outcome_lands_once_on_the_last_response_token():
    mask = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
    rewards = token_rewards(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3, 3), mask, 0.05)
    assert rewards.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    full = torch.ones(2, 3, dtype=torch.bool)  # no padding exists
    assert token_rewards(torch.tensor([1.0, 2.0]), torch.zeros(2, 3), full, 0.05).tolist() == [[0, 0, 1], [0, 0, 2]]


def test_line_8_a_reply_that_never_stopped_pays(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts, missing_stop_penalty=2.0, overlong_tokens=4, overlong_penalty=1.0, max_new_tokens=8)
    one.calibrate()
    eos = one.tokenizer.eos_token_id
    ended, cut = Reply([40, eos], [-1.0, -1.0], True), Reply([40] * 8, [-1.0] * 8, False)
    rollout = Rollout([[5, eos, 6]] * 2, [ended, cut], ["a", "b"], np.full(2, one.scale.mean))
    assessment = one.assess(rollout)
    rewards = one.rewards(rollout, assessment)
    assert_close(rewards.sum(1), torch.tensor([0.0, -3.0]), atol=1e-4, rtol=0)
    assert rewards[0, 1] == pytest.approx(0, abs=1e-5)
    assert rewards[1, 7] == pytest.approx(-3, abs=1e-5)


def test_line_8_a_stop_token_in_the_prompt_stops_nothing(gpt2: Path, tmp_path: Path):
    stop = load_policy(gpt2, FP32)[1].eos_token_id
    constant(gpt2, tmp_path, {stop: -50.0})  # never says it
    (reply,) = sample(load_policy(tmp_path, FP32)[0], [[5, stop, 6]], [0], [stop], 8, 1.0, 1)
    assert (len(reply.tokens), reply.stopped) == (8, False)


def test_line_9_gain_and_bias_of_the_reference_samples_stand_in_the_figures(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path
):
    scores = []

    def score(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
        scores.append(0.7 + 0.01 * share_of("e")(queries, responses, contexts))
        return scores[-1]

    figures = ppo.train_ppo(llama, prompts, score, QUICK, FP32, tmp_path)
    scaled = figures["reward_gain"] * scores[0] + figures["reward_bias"]
    assert scaled.mean() == pytest.approx(0, abs=1e-9)
    assert scaled.std() == pytest.approx(1)
    assert figures["reference_score"] == pytest.approx(scores[0].mean())


def test_line_9_a_round_s_scores_join_the_running_scale_and_rewards_are_clipped(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts, missing_stop_penalty=0.0, kl_coefficient=0.0, reward_clip=0.4)
    seen, score = [], one.score
    one.score = lambda *texts: seen.append(score(*texts)) or seen[-1]
    one.calibrate()
    fixed, clipped = copy.deepcopy(one.scale), one.rewards(rollout := one.collect(1, 8), one.assess(rollout)).sum(1)
    assert_close(clipped, torch.tensor((fixed.gain * seen[1] + fixed.bias).clip(-0.4, 0.4), dtype=torch.float32))
    assert clipped.abs().max() == pytest.approx(0.4)
    one.round()
    both = np.concatenate([seen[0], seen[2]])
    assert (one.scale.count, one.scale.mean) == (16, pytest.approx(both.mean()))
    assert one.scale.squares / one.scale.count == pytest.approx(both.var())
    assert (one.scale.gain, one.scale.bias) == (fixed.gain, fixed.bias)


def test_line_10_the_adaptive_coefficient_moves_towards_its_target(llama: Path, prompts: pd.DataFrame, tmp_path: Path):
    adaptive = QUICK.model_copy(update={"kl_target": 5.0, "kl_horizon": 80, "updates": 3})
    history = ppo.train_ppo(llama, prompts, share_of("e"), adaptive, FP32, tmp_path)["history"]
    assert [row["kl_coefficient"] for row in history[:2]] == pytest.approx([0.05, 0.05 * 0.98])
    fixed = ppo.train_ppo(llama, prompts, share_of("e"), QUICK, FP32, tmp_path)["history"]
    assert {row["kl_coefficient"] for row in fixed} == {0.05}


def test_line_10_each_token_pays_for_its_own_kl(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts, kl_coefficient=0.5)
    one.calibrate()
    rollout = one.collect(1, 8)
    assessment = one.assess(rollout)
    free = one.rewards(rollout, assessment)
    assessment.reference_log_probs[:, 0] -= 0.2
    assessment.reference_log_probs[:, 1] -= 100  # clamped
    paid = one.rewards(rollout, assessment) - free
    assert_close(paid[:, 0], torch.full((8,), -0.1), atol=1e-4, rtol=0)
    assert_close(paid[:, 1][rollout.mask[:, 1]], torch.full((int(rollout.mask[:, 1].sum()),), -5.0), atol=1e-4, rtol=0)


def by_length(queries: list[str], steps: list[str], contexts: list[str], before: list[str]) -> np.ndarray:
    """A score of single steps."""
    return np.array([float(len(step)) for step in steps])


def test_line_12_step_rewards_and_outcome_stand_where_they_were_earned(llama: Path, prompts: pd.DataFrame):
    """Two steps and an end: token rewards and their GAE worked by hand, beside the outcome alone."""
    one = trainer(llama, prompts, step_share=0.25, kl_coefficient=0.0, missing_stop_penalty=0.0)
    one.score_steps = by_length
    one.scale = RewardScale(gain=1, bias=0, clip=5, running=False, count=1, mean=0, squares=1)
    one.step_scale = RewardScale(gain=1, bias=-8, clip=5, running=False, count=1, mean=8, squares=1)
    text = "1. Ask me\n2. Go"
    tokens = one.tokenizer(text, add_special_tokens=False)["input_ids"]
    reply = Reply([*tokens, one.tokenizer.eos_token_id], [-1.0] * (len(tokens) + 1), True)
    rollout = Rollout([[5, 6]], [reply], [text], np.array([2.0]))
    rollout = one.with_steps(rollout, [{"query": "Why?", "context": "[]"}], by_length)
    assert rollout.step_scores.tolist() == [9, 5]
    assessment = one.assess(rollout)
    rewards = one.rewards(rollout, assessment)
    first, second = rollout.steps.ends
    expected = torch.zeros(rewards.shape)
    expected[0, first], expected[0, second] = 0.25 * (9 - 8), 0.25 * ((9 - 8 + 5 - 8) / 2 - (9 - 8))
    expected[0, -1] = 0.75 * 2.0
    assert_close(rewards, expected)
    _, to_go = gae(rewards, torch.zeros(rewards.shape), rollout.mask, 1.0, 1.0)
    assert_close(to_go[0, 0], torch.tensor(0.25 - 0.5 + 1.5))  # the sum of all
    assert_close(to_go[0, first + 1], torch.tensor(-0.5 + 1.5))  # the first step's is no longer to come
    assert_close(to_go[0, -1], torch.tensor(1.5))
    one.step_scale = None
    alone = one.rewards(Rollout(rollout.prompts, rollout.replies, rollout.texts, rollout.scores), assessment)
    assert alone[0].nonzero().flatten().tolist() == [rewards.shape[1] - 1]
    assert alone[0, -1] == 2.0


def test_line_11_whitened_rewards_keep_their_mean_and_whitened_advantages_have_none(
    llama: Path, prompts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    """Over a round's response tokens alone; that several processes whiten as one does is in test_ppo_together.py."""
    one = trainer(llama, prompts, whiten_rewards=True)
    one.calibrate()
    rollout = one.collect(1, 8)
    assessment = one.assess(rollout)
    whitened = one.rewards(rollout, assessment)
    one.settings = one.settings.model_copy(update={"whiten_rewards": False})
    plain, mask = one.rewards(rollout, assessment), rollout.mask
    assert_close(whitened[mask].mean(), plain[mask].mean())
    assert whitened[mask].std(correction=0).item() == pytest.approx(1, abs=1e-3)
    assert (whitened[~mask] == 0).all()
    learned = []
    monkeypatch.setattr(one.learner, "learn", lambda *given, **_: learned.append(given) or {})
    one.round()
    of_round, _, advantages, _ = learned[0]
    assert advantages[of_round.mask].mean().item() == pytest.approx(0, abs=1e-5)
    assert advantages[of_round.mask].std(correction=0).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("gae_lambda", [0.95, 1.0])
def test_line_12_placing_changes_what_the_value_knows_and_nothing_else(
    llama: Path, prompts: pd.DataFrame, gae_lambda: float
):
    """A head that does not read what steps were paid gives each token the credit of a reward that all comes last.

    It says what a reply earns in all; did nobody take off what is paid, it would be too high at each reply's end.
    """
    one = trainer(llama, prompts, step_share=0.5, kl_coefficient=0.0, gae_lambda=gae_lambda, whiten_advantages=False)
    one.score_steps = by_length
    one.calibrate()
    with torch.no_grad():
        one.learner.head.weight[0, -1] = 0
    texts = ["1. Ask me\n2. Go\n3. Wait for it", "Ask\n\nGo on and on"]
    tokens = [one.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    replies = [Reply([*own, one.tokenizer.eos_token_id], [-1.0] * (len(own) + 1), True) for own in tokens]
    rollout = Rollout([[5, 6], [7]], replies, texts, np.array([2.0, -1.0]))
    rollout = one.with_steps(rollout, [{"query": "Why?", "context": "[]"}] * 2, by_length)
    assessment = one.assess(rollout)
    rewards, mask = one.rewards(rollout, assessment), rollout.mask
    assert [int((row != 0).sum()) for row in rewards] == [4, 3]
    at_the_end = torch.zeros(rewards.shape)
    at_the_end[torch.arange(2), mask.sum(1) - 1] = rewards.sum(1)
    placed, learned = one.advantages(rollout, assessment, rewards)
    outcome, returns = gae(at_the_end, assessment.values, mask, 1.0, gae_lambda)
    assert_close(placed, outcome)
    assert_close(learned, returns)
    first, second, _ = rollout.steps.ends[:3]
    earned = one.steps_earn(rollout)
    assert assessment.paid[0, [0, first]].tolist() == [0, 0]
    assert assessment.paid[0, second].item() == pytest.approx(earned[0])
    assert assessment.paid[0, mask[0].sum() - 1].item() == pytest.approx(earned[:3].mean())


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_line_12_answers_and_steps_together_vary_by_one_deviation(llama: Path, prompts: pd.DataFrame, share: float):
    one = trainer(llama, prompts, step_share=share, calibration_prompts=64, missing_stop_penalty=0, kl_coefficient=0)
    one.score_steps = by_length
    seen = []
    one.assess = lambda rollout, **asked: seen.append(rollout) or type(one).assess(one, rollout, **asked)
    one.calibrate()
    (rollout,) = seen
    whole = one.rewards(rollout, one.assess(rollout)).sum(1)
    assert whole.mean().item() == pytest.approx(0, abs=0.2)  # steps are centred by themselves, not by replies
    assert whole.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_line_12_steps_are_scored_with_what_came_before_and_scaled_by_the_reference(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path
):
    seen = []

    def score(queries: list[str], steps: list[str], contexts: list[str], before: list[str]) -> np.ndarray:
        seen.append((queries, steps, contexts, before))
        return by_length(queries, steps, contexts, before)

    settings = QUICK.model_copy(update={"step_share": 0.5})
    figures = ppo.train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path, score_steps=score)
    assert len(seen) == 1 + settings.updates
    assert all(len(set(map(len, asked))) == 1 for asked in seen)
    outcome = ppo.train_ppo(llama, prompts, share_of("e"), QUICK, FP32, tmp_path)
    assert figures["history"][0]["score"] == outcome["history"][0]["score"]  # of the same replies
    assert figures["history"][0]["reward"] != outcome["history"][0]["reward"]
    with pytest.raises(RlhfError, match="step_share"):
        ppo.train_ppo(llama, prompts, share_of("e"), settings, FP32, tmp_path)


# Learning


def test_line_13_value_head_starts_as_written_and_is_warmed_up_before_the_policy_moves(
    llama: Path, prompts: pd.DataFrame
):
    head = ValueHead(10_000, torch.Generator().manual_seed(0))
    assert head.weight.std().item() == pytest.approx(10_001**-0.5, rel=0.05)
    assert head.bias.item() == 0

    one = trainer(llama, prompts, calibration_prompts=64)
    before, start = copy.deepcopy(one.policy.state_dict()), copy.deepcopy(one.learner.head)
    one.calibrate()
    for name, weight in one.policy.state_dict().items():
        assert_close(weight, before[name], atol=0, rtol=0)
    rollout = one.collect(5, 8)
    assessment = one.assess(rollout)
    _, to_go = gae(one.rewards(rollout, assessment), torch.zeros(rollout.mask.shape), rollout.mask, 1.0, 1.0)
    cold = start(assessment.states).detach()
    warm, returns = assessment.values[rollout.mask], to_go[rollout.mask]
    assert (warm - returns).square().mean() < 0.8 * (cold - returns).square().mean()


def test_line_13_the_value_head_has_caught_up_with_a_round_when_it_ends(llama: Path, prompts: pd.DataFrame):
    """The reward rises by more in a round than the value may by its clip; a value that lags finds every end good."""
    one = trainer(llama, prompts)
    one.calibrate()
    one.scale.bias += 2
    seen, learned = [], []
    one.assess = lambda rollout: seen.append(type(one).assess(one, rollout)) or seen[-1]
    one.advantages = lambda *given: learned.append(type(one).advantages(one, *given)) or learned[-1]
    one.round()
    (assessment,), ((_, returns),) = seen, learned
    assert (returns - assessment.values)[assessment.shown].mean().item() > 1
    left = returns[assessment.shown] - one.learner.head(assessment.states).detach()
    assert left.mean().item() == pytest.approx(0, abs=1e-4)


def test_line_13_a_long_round_shows_the_head_some_tokens_of_each_part():
    mask = torch.ones((4, 5), dtype=torch.bool)
    mask[1, 2:] = False
    shown = thinned(mask, 6)
    assert shown.sum() == 6
    assert shown.sum(1).tolist() == [2, 1, 1, 2]
    assert not (shown & ~mask).any()
    assert thinned(mask, 17).equal(mask)


def test_line_14_gae_equals_a_plain_loop():
    draws = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(4, 6, generator=draws), torch.randn(4, 6, generator=draws)
    lengths = [6, 1, 3, 5]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    advantages, returns = gae(rewards, values, mask, 0.9, 0.95)
    for row, length in enumerate(lengths):
        for t in range(length):
            expected = 0.0
            for s in range(t, length):  # A_t = sum over s of (gamma lambda)^(s-t) * surprise_s
                following = values[row, s + 1].item() if s + 1 < length else 0.0
                surprise = rewards[row, s].item() + 0.9 * following - values[row, s].item()
                expected += (0.9 * 0.95) ** (s - t) * surprise
            assert advantages[row, t].item() == pytest.approx(expected, abs=1e-5)
            assert returns[row, t].item() == pytest.approx(expected + values[row, t].item(), abs=1e-5)
        assert advantages[row, length:].abs().sum() == 0


def test_line_15_the_constants():
    settings = PpoSettings()
    assert (settings.ratio_clip, settings.value_clip, settings.value_coefficient) == (0.2, 0.2, 0.1)
    assert (settings.max_grad_norm, settings.adam_epsilon) == (1.0, 1e-5)
    assert (settings.discount, settings.gae_lambda, settings.kl_coefficient) == (1.0, 0.95, 0.05)


def test_line_15_gradient_norms_are_clipped_apart_and_the_rate_decays(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path
):
    one = trainer(llama, prompts, max_grad_norm=1e-3)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    figures = one.learner.gradients(rollout, list(range(8)), assessment, advantages * 100, returns * 100)
    assert figures["policy_grad_norm"] > 1e-2
    assert figures["value_grad_norm"] > 1e-2
    for parameters in (one.learner.weights, list(one.learner.head.parameters())):
        norm = torch.cat([p.grad.flatten() for p in parameters]).norm().item()
        assert norm == pytest.approx(1e-3, rel=1e-2)
    assert {group["eps"] for group in one.learner.optimizer.param_groups} == {1e-5}
    history = ppo.train_ppo(llama, prompts, share_of("e"), QUICK.model_copy(update={"updates": 4}), FP32, tmp_path)[
        "history"
    ]
    assert [row["learning_rate"] for row in history] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_line_15_the_value_coefficient_weighs_what_the_value_asks_of_the_trunk(llama: Path, prompts: pd.DataFrame):
    gradients = []
    for coefficient in (0.1, 0.3):
        one = trainer(llama, prompts, value_coefficient=coefficient, value_shapes_trunk=True, max_grad_norm=1e9)
        one.calibrate()
        rollout, assessment, advantages, returns = assessed(one)
        one.learner.gradients(rollout, list(range(8)), assessment, torch.zeros_like(advantages), returns + 1)
        gradients.append(torch.cat([weight.grad.flatten() for weight in one.learner.weights]))
    assert gradients[0].norm() > 1e-4
    assert_close(gradients[1], 3 * gradients[0], rtol=1e-3, atol=1e-6)


def test_line_16_dropout_is_off(gpt2: Path, prompts: pd.DataFrame):
    """This gpt2 is configured with dropout 0.1 in three places."""
    one = trainer(gpt2, prompts)
    one.calibrate()
    assert one.policy.config.attn_pdrop == 0.1
    for model in (one.policy, one.reference, one.sampler):
        assert not any(module.training for module in model.modules())
    rollout = one.collect(1, 8)
    assert_close(one.assess(rollout).log_probs, one.assess(rollout).log_probs, atol=0, rtol=0)


def test_line_16_each_epoch_has_a_fresh_permutation(
    llama: Path, prompts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    one = trainer(llama, prompts, epochs=3, minibatches=2)
    one.calibrate()
    seen, gradients = [], one.learner.gradients
    monkeypatch.setattr(
        one.learner, "gradients", lambda rollout, rows, *rest: seen.append(rows) or gradients(rollout, rows, *rest)
    )
    figures = one.learner.learn(*assessed(one), first=True)
    assert figures["steps"] == 6
    epochs = [seen[i] + seen[i + 1] for i in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("limits", [{}, {"update_kl_limit": 1e6, "update_ratio_limit": 1.05}], ids=["kl", "ratio"])
def test_line_16_an_update_stops_early_when_the_policy_has_moved_too_far(
    limits: dict, llama: Path, prompts: pd.DataFrame, caplog: pytest.LogCaptureFixture
):
    one = trainer(llama, prompts, epochs=2, minibatches=8, learning_rate=0.05, **limits)
    one.calibrate()
    figures = one.learner.learn(*assessed(one), first=True)
    assert 1 <= figures["steps"] < 7
    assert f"learning ends after {figures['steps']} of 16 steps" in caplog.text


@pytest.mark.parametrize("lora_rank", [None, 4])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_line_17_at_step_0_ratio_is_1_kl_0_clip_fraction_0(
    family: str, lora_rank: int | None, request: pytest.FixtureRequest, prompts: pd.DataFrame
):
    one = trainer(request.getfixturevalue(family), prompts, lora_rank=lora_rank)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    assert_close(assessment.reference_log_probs, assessment.log_probs, atol=1e-6, rtol=0)
    step = one.learner.gradients(rollout, list(range(8)), assessment, advantages, returns)
    assert step["ratio_mean"] == pytest.approx(1, abs=1e-5)
    assert step["ratio_variance"] == pytest.approx(0, abs=1e-5)
    assert step["approximate_kl"] == pytest.approx(0, abs=1e-6)
    assert step["clip_fraction"] == step["value_clip_fraction"] == 0
    of_these = rollout.mask[:8]
    left = (assessment.values - returns)[:8][of_these]  # the learner reads the states that the values were read from
    assert step["value_loss"] == pytest.approx(0.5 * left.square().mean().item(), rel=1e-4)


def test_line_17_is_asserted_in_the_trainer(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts)
    one.calibrate()
    rollout, assessment, advantages, returns = assessed(one)
    check_reference(rollout, assessment, FP32)
    unmoved = one.learner.gradients(rollout, list(range(8)), assessment, advantages, returns)
    check_unmoved(unmoved, FP32)
    assessment.log_probs[:, 0] += 5
    with pytest.raises(RuntimeError, match="reference"):
        check_reference(rollout, assessment, FP32)
    assessment.reference_log_probs[:, 0] += 5
    with pytest.raises(RuntimeError, match="sampler"):
        check_reference(rollout, assessment, FP32)
    with pytest.raises(RuntimeError, match="ratio"):
        one.learner.learn(rollout, assessment, advantages, returns, first=True)
    with pytest.raises(RuntimeError, match="clipped"):
        check_unmoved(unmoved | {"clip_fraction": 0.5}, FP32)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_line_17_a_rollout_does_not_depend_on_its_batch(family: str, request: pytest.FixtureRequest):
    model, tokenizer = load_policy(request.getfixturevalue(family), FP32)
    sampler = sampling_copy(model, FP32)
    prompts = [list(range(5, 5 + length)) for length in (3, 17, 9, 30, 1, 12)]
    stops = [tokenizer.eos_token_id, *range(20, 60)]  # some rows leave early and the cache is compacted
    together = sample(sampler, prompts, range(6), stops, 24, 1.0, 64)
    halves = sample(sampler, prompts, range(6), stops, 24, 1.0, 3)
    alone = [sample(sampler, [p], [i], stops, 24, 1.0, 64)[0] for i, p in enumerate(prompts)]
    assert [r.tokens for r in alone] == [r.tokens for r in together] == [r.tokens for r in halves]
    assert len({len(r.tokens) for r in alone}) > 2


def test_line_18_everything_is_logged_each_update(
    llama: Path, prompts: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level("INFO", logger="rlhf_assets"):
        history = ppo.train_ppo(llama, prompts, share_of("e"), QUICK, FP32, tmp_path)["history"]
    wanted = {
        "score", "kl", "entropy", "length", "stop_rate", "ratio_mean", "ratio_variance", "clip_fraction",
        "value_clip_fraction", "explained_variance", "episodes_per_second", "policy_grad_norm", "value_grad_norm",
    }  # fmt: skip
    assert len(history) == 2
    for row in history:
        assert wanted <= row.keys()
        assert np.isfinite(list(row.values())).all()
    line = caplog.messages[-1]
    assert line.startswith("ppo 2/2 · score ")
    for word in ("kl", "entropy", "length", "stopped", "ratio", "clipped", "explained variance", "episodes/s"):
        assert word in line


def test_line_18_figures_are_those_of_the_rollout(llama: Path, prompts: pd.DataFrame):
    one = trainer(llama, prompts)
    one.calibrate()
    rollout, assessment, _, returns = assessed(one)
    rewards = one.rewards(rollout, assessment)
    figures = round_figures(rollout, assessment, rewards, returns)
    lengths = [len(reply.tokens) for reply in rollout.replies]
    assert figures["length"] == pytest.approx(np.mean(lengths))
    assert figures["score"] == pytest.approx(rollout.scores.mean())
    drawn = np.concatenate([reply.log_probs for reply in rollout.replies])
    assert figures["entropy"] == pytest.approx(-drawn.mean(), abs=1e-4)
    assert figures["kl"] == pytest.approx(0, abs=1e-4)
    assert figures["explained_variance"] == explained_variance(assessment.values[rollout.mask], returns[rollout.mask])


def test_line_18_kl_is_a_reply_s_in_nats_by_both_estimators():
    """Two replies, of one token and of three; each token 0.5 nats likelier than under the reference, one 0.2 less."""
    rollout = Rollout(
        [[1], [1]], [Reply([5], [-1.0], True), Reply([5, 6, 7], [-1.0] * 3, False)], ["a", "b"], np.ones(2)
    )
    ours = torch.tensor([[-1.0, 0, 0], [-1, -2, -3]])
    reference = torch.tensor([[-1.5, 0, 0], [-1.5, -2.5, -2.8]])
    nothing = torch.zeros(2, 3)
    seen = Assessment(ours, reference, nothing, nothing, rollout.mask, nothing)
    figures = round_figures(rollout, seen, nothing, nothing)
    assert figures["kl"] == pytest.approx((0.5 + 0.8) / 2)
    k3 = [math.exp(-moved) - 1 + moved for moved in (0.5, -0.2)]  # exp(-log r) - 1 + log r
    assert figures["kl_k3"] == pytest.approx((k3[0] + 2 * k3[0] + k3[1]) / 2)
    assert figures["entropy"] == pytest.approx(7 / 4)
    assert (figures["length"], figures["stop_rate"]) == (2, 0.5)


def test_line_18_a_step_s_figures_keep_their_names():
    means = {"ratio": 1.5, "ratio_squared": 2.5, "clipped": 0.3, "value_clipped": 0.1, "approximate_kl": 0.02}
    figures = step_figures({**means, "policy_loss": -1.0, "value_loss": 4.0})
    assert figures == {
        "policy_loss": -1.0,
        "value_loss": 4.0,
        "ratio_mean": 1.5,
        "ratio_variance": 0.25,
        "clip_fraction": 0.3,
        "value_clip_fraction": 0.1,
        "approximate_kl": 0.02,
    }


# Trust


@pytest.mark.parametrize(("said", "chosen"), [((3, 2, 1), 2), ((1, 3, 2), 4), ((1, 2, 3), 5), ((2, 2, 1), 2)], ids=str)
def test_line_21_the_policy_that_the_judge_likes_best_is_kept(
    said: tuple[int, ...], chosen: int, llama: Path, prompts: pd.DataFrame
):
    """It looks after the second, the fourth and the last of five updates; of two that are alike the earlier is kept."""
    opinions = iter(said)
    one = trainer(llama, prompts, updates=5, choice_updates=2, choice_prompts=4)
    judge = ppo.Judge(lambda queries, *_: np.full(len(queries), float(next(opinions))), prompts.head(9))
    choice, weights = ppo.Choice(one, judge, one.settings), []
    one.calibrate()
    while one.update < 5:
        one.round()
        choice.look()
        weights.append(one.learner.snapshot())
    choice.settle()
    assert choice.judged == [{"update": at, "judge": by} for at, by in zip((2, 4, 5), said, strict=True)]
    assert choice.update == chosen
    kept = one.learner.snapshot()
    same = [all(map(torch.equal, kept, after)) for after in weights]
    assert same == [update == chosen for update in range(1, 6)]

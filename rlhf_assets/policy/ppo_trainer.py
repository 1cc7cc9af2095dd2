"""The policy with everything that changes while PPO trains it: one round of it, and its state for a checkpoint.

A round: sample replies, score their texts, recompute old log-probabilities and values, price the KL, estimate
advantages, learn in minibatches, let the value head catch up. Before the first round the reference policy's own replies
set the reward's scale and warm the value head up.
"""

import copy
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.advantages import gae, whiten
from rlhf_assets.policy.answers import decode, encode_rows
from rlhf_assets.policy.chat import stop_tokens
from rlhf_assets.policy.history import check_reference, round_figures
from rlhf_assets.policy.kl import adapt_coefficient, log_ratio
from rlhf_assets.policy.learner import PpoLearner
from rlhf_assets.policy.rewards import (
    SMALLEST_DEVIATION,
    RewardScale,
    check_scores,
    missing_stop,
    overlong,
    token_rewards,
)
from rlhf_assets.policy.rollouts import Assessment, Rollout, Score, assess, reference_log_probs, texts_of, thinned
from rlhf_assets.policy.sampling import sample, seed_of
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.step_rewards import StepScore, before, increments, per_reply, place, steps_of
from rlhf_assets.policy.value import catch_up, warm_up
from rlhf_assets.policy.weights import context_length, load_policy, refresh, sampling_copy, with_lora
from rlhf_assets.reward.processes import Processes

log = logging.getLogger(__name__)

STATES = 16_384  # of a round's tokens, enough to fit a layer to


class PpoTrainer:
    """One training; `update` counts the rounds that are done. Several processes make the same calls side by side."""

    def __init__(
        self,
        sft_folder: str,
        prompts: Sequence[dict[Any, Any]],
        score: Score,
        settings: PpoSettings,
        compute: Compute,
        score_steps: StepScore | None = None,
    ) -> None:
        self.settings, self.compute, self.score, self.prompts = settings, compute, score, prompts
        self.score_steps = score_steps if settings.step_share else None
        self.processes = Processes.here(compute.device)
        model, self.tokenizer = load_policy(sft_folder, compute)
        self.stops = stop_tokens(sft_folder, self.tokenizer)
        self.context = min(context_length(model), settings.max_prompt_tokens + settings.max_new_tokens)
        self.sampler = sampling_copy(model, compute)
        if settings.lora_rank is None:
            self.policy: Any = model
            self.reference: Any = copy.deepcopy(model).requires_grad_(False)
        else:
            self.policy, self.reference = with_lora(model, settings.lora_rank, settings.seed), None
        self.draws = torch.Generator().manual_seed(seed_of(settings.seed))
        self.learner = PpoLearner(self.policy, settings, compute, self.draws, self.processes)
        self.kl_coefficient = settings.kl_coefficient
        self.step_scale: RewardScale | None = None
        self.blend = 1.0  # brings answers' and steps' rewards together to one deviation
        self.waiting: list[int] = []  # prompts that come next
        self.history: list[dict[str, float]] = []
        self.took: dict[str, float] = defaultdict(float)  # seconds of the round by what they were spent on

    @property
    def update(self) -> int:
        return len(self.history)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.took[what] += time.monotonic() - started

    def next_prompts(self, size: int) -> list[dict[Any, Any]]:
        """Prompts without end, each once before any comes again."""
        while len(self.waiting) < size:
            self.waiting += torch.randperm(len(self.prompts), generator=self.draws).tolist()
        chosen, self.waiting = self.waiting[:size], self.waiting[size:]
        return [self.prompts[i] for i in chosen]

    def collect(self, update: int, size: int) -> Rollout:
        """Sample `size` replies with the current weights and score their texts."""
        rows = self.next_prompts(size)
        rollout = self.rollout(rows, [seed_of(self.settings.seed, update, i) for i in range(size)], self.score)
        return rollout if self.score_steps is None else self.with_steps(rollout, rows, self.score_steps)

    def rollout(self, rows: Sequence[dict[Any, Any]], seeds: Sequence[int], score: Score) -> Rollout:
        """A reply of the current policy to each row, and what `score` says of it; each process takes its share."""
        settings, share = self.settings, self.processes.share
        with self.timed("rollout"):
            prompts = encode_rows(self.tokenizer, rows, self.context, settings.max_new_tokens)
            refresh(self.sampler, self.policy)
            replies = sample(
                self.sampler,
                share(prompts),
                share(seeds),
                self.stops,
                settings.max_new_tokens,
                settings.temperature,
                settings.batch_size,
            )
            texts = [decode(self.tokenizer, reply) for reply in replies]
        replies, texts = self.processes.gather(replies), self.processes.gather(texts)
        if not any(texts):
            raise RlhfError(f"all {len(rows)} replies are empty; train SFT on longer answers or lower learning_rate")
        with self.timed("scoring"):
            queries, contexts = [row["query"] for row in rows], texts_of(rows, "context", "[]")
            scores = self.processes.gather(list(score(share(queries), share(texts), share(contexts))))
        return Rollout(prompts, replies, texts, check_scores(np.array(scores), len(rows)))

    def with_steps(self, rollout: Rollout, rows: Sequence[dict[Any, Any]], score: StepScore) -> Rollout:
        """The rollout with its steps and what `score` says of each."""
        steps, share = steps_of(self.tokenizer, rollout.replies, rollout.texts), self.processes.share
        queries, contexts = [row["query"] for row in rows], texts_of(rows, "context", "[]")
        with self.timed("scoring"):
            asked = ([queries[i] for i in steps.rows], steps.texts, [contexts[i] for i in steps.rows], steps.before)
            own = score(*(share(texts) for texts in asked))
        scores = check_scores(np.array(self.processes.gather(list(own))), len(steps.rows))
        return replace(rollout, steps=steps, step_scores=scores)

    def assess(self, rollout: Rollout) -> Assessment:
        """Log-probabilities of policy and reference and values, before any step of the round."""
        settings = self.settings
        paid, shown = before(self.paid_at_steps(rollout)) * rollout.mask, thinned(rollout.mask, STATES)
        micro = list(rollout.micro_batches(range(len(rollout.replies)), settings.micro_batch_size))
        own = self.processes.share(micro)
        with self.timed("policy"):
            head, temperature = self.learner.head, settings.temperature
            seen = assess(rollout, own, paid, shown, self.policy, head, temperature, self.compute)
        with self.timed("reference"):
            kept = reference_log_probs(rollout, own, self.policy, self.reference, settings.temperature, self.compute)
        tables = (self.processes.total(table.to(self.compute.device)).cpu() for table in (*seen, kept))
        log_probs, values, states, reference = tables
        return Assessment(log_probs, reference, values, paid, shown, states.to(self.compute.device))

    def calibrate(self) -> RewardScale:
        """Fit the reward's scale and the value head to replies of the reference policy, which is still this one."""
        settings = self.settings
        log.info("ppo: %d replies of the SFT policy set the reward's scale", settings.calibration_prompts)
        rollout = self.collect(0, settings.calibration_prompts)
        self.scale = RewardScale.from_reference(rollout.scores, settings.reward_clip, settings.running_scale)
        if self.score_steps is not None:
            self.step_scale = RewardScale.from_reference(
                rollout.step_scores, settings.reward_clip, settings.running_scale
            )
            of_steps = per_reply(self.steps_earn(rollout), rollout.steps, len(rollout.replies))
            self.blend = 1 / max(float((self.answers_earn(rollout) + of_steps).std()), SMALLEST_DEVIATION)
        assessment = self.assess(rollout)
        check_reference(rollout, assessment, self.compute)
        rewards = self.rewards(rollout, assessment)
        _, to_go = gae(rewards, torch.zeros_like(rewards), rollout.mask, settings.discount, gae_lambda=1.0)
        earned = to_go + assessment.paid
        warm_up(self.learner.head, assessment.states, earned[assessment.shown], settings.value_shrinkage)
        return self.scale

    def answers_earn(self, rollout: Rollout) -> np.ndarray:
        """What the whole answers earn (rows,), in deviations of this and the steps' part together on reference replies.

        Half of one thing and half of another vary less than either; undone, a nat of KL would cost more.
        """
        share = 0.0 if self.step_scale is None else self.settings.step_share
        return self.blend * (1 - share) * self.scale(rollout.scores)

    def steps_earn(self, rollout: Rollout) -> np.ndarray:
        """What each of the steps (steps,) earns, likewise; a reply is paid their mean."""
        if self.step_scale is None:
            return np.zeros(0)
        return self.blend * self.settings.step_share * self.step_scale(rollout.step_scores)

    def rewards(self, rollout: Rollout, assessment: Assessment) -> torch.Tensor:
        """Token rewards (rows, tokens): the KL's price all along, each step's share at its end, the rest at the end."""
        settings = self.settings
        outcome = torch.tensor(self.answers_earn(rollout), dtype=torch.float32)
        outcome -= missing_stop(rollout.stopped, settings.missing_stop_penalty)
        outcome -= overlong(
            rollout.lengths, settings.max_new_tokens, settings.overlong_tokens, settings.overlong_penalty
        )
        ratio = log_ratio(assessment.log_probs, assessment.reference_log_probs)
        rewards = token_rewards(outcome, ratio, rollout.mask, self.kl_coefficient) + self.paid_at_steps(rollout)
        return whiten(rewards, rollout.mask, keep_mean=True) if settings.whiten_rewards else rewards

    def paid_at_steps(self, rollout: Rollout) -> torch.Tensor:
        """What each step is paid at its last token, (rows, tokens)."""
        return place(increments(self.steps_earn(rollout), rollout.steps), rollout.steps, rollout.mask)

    def advantages(
        self, rollout: Rollout, assessment: Assessment, rewards: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Advantages, and what the value head is to learn, both (rows, tokens).

        The head says what a reply will have earned in all. What is paid already is known and taken off: a value that
        did not know it would find each end of a reply worse than expected, and the policy would learn not to stop.
        """
        settings, to_come = self.settings, assessment.values - assessment.paid
        advantages, to_go = gae(rewards, to_come, rollout.mask, settings.discount, settings.gae_lambda)
        if settings.whiten_advantages:
            advantages = whiten(advantages, rollout.mask, keep_mean=False)
        return advantages, to_go + assessment.paid

    def round(self) -> dict[str, float]:
        """One round; returns its figures, which `history` keeps."""
        settings, update, started = self.settings, self.update + 1, time.monotonic()
        self.took.clear()
        self.learner.set_rates(1 - (update - 1) / settings.updates)  # the last round's is 1/updates of the first
        rollout = self.collect(update, settings.prompts_per_update)
        assessment = self.assess(rollout)
        rewards = self.rewards(rollout, assessment)
        self.scale.observe(rollout.scores)
        if self.step_scale is not None:
            self.step_scale.observe(rollout.step_scores)
        advantages, returns = self.advantages(rollout, assessment, rewards)
        with self.timed("learning"):
            learned = self.learner.learn(rollout, assessment, advantages, returns, first=update == 1)
            shown = returns[assessment.shown]
            catch_up(self.learner.head, assessment.states, shown, settings.value_shrinkage)
        figures = {
            "update": update,
            **round_figures(rollout, assessment, rewards, returns),
            **learned,
            "kl_coefficient": self.kl_coefficient,
            "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
            "episodes_per_second": len(rollout.replies) / (time.monotonic() - started),
            **{f"{what.replace(' ', '_')}_seconds": seconds for what, seconds in self.took.items()},
        }
        self.history.append(figures)
        if settings.kl_target is not None:
            self.kl_coefficient = adapt_coefficient(
                self.kl_coefficient, figures["kl"], settings.kl_target, len(rollout.replies), settings.kl_horizon
            )
        return figures

    def state(self) -> dict[str, Any]:
        """Everything that the rounds to come hang on, of plain types and tensors alone."""
        return {
            "learner": self.learner.state(),
            "waiting": self.waiting,
            "kl_coefficient": self.kl_coefficient,
            "scale": asdict(self.scale),
            "step_scale": asdict(self.step_scale) if self.step_scale else None,
            "blend": self.blend,
            "history": self.history,
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken."""
        self.learner.go_on(state["learner"])
        self.waiting, self.history = state["waiting"], state["history"]
        self.kl_coefficient = state["kl_coefficient"]
        self.scale = RewardScale(**state["scale"])
        self.step_scale = RewardScale(**state["step_scale"]) if state["step_scale"] else None
        self.blend = state["blend"]

"""Proximal policy optimisation of a policy against a reward read from text (Schulman 2017; Ouyang 2022).

A round: sample replies, score their texts, recompute old log-probabilities and values, price the KL, estimate
advantages, learn in minibatches. Before the first round the reference policy's own replies set the reward's scale
and warm the value head up.
"""

import copy
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.utils import clip_grad_norm_

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.advantages import gae, whiten
from rlhf_assets.policy.answers import decode, encode_rows
from rlhf_assets.policy.chat import stop_tokens
from rlhf_assets.policy.history import check_reference, check_unmoved, describe, round_figures, step_figures
from rlhf_assets.policy.kl import adapt_coefficient, log_ratio
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.losses import policy_loss, value_loss
from rlhf_assets.policy.rewards import RewardScale, check_scores, missing_stop, overlong, token_rewards
from rlhf_assets.policy.rollouts import Assessment, Rollout, Score, assess, take, texts_of
from rlhf_assets.policy.sampling import sample, seed_of
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.value import ValueHead, warm_up
from rlhf_assets.policy.weights import (
    context_length,
    load_policy,
    plain,
    refresh,
    sampling_copy,
    save_policy,
    with_lora,
)
from rlhf_assets.progress import Progress

log = logging.getLogger(__name__)


def train_ppo(
    sft_folder: str | Path, prompts: pd.DataFrame, score: Score, settings: PpoSettings, compute: Compute, folder: Path
) -> dict[str, Any]:
    """Train on prompts {prompt_id, query, context, system_prompt} and write the policy to `folder`, a plain model.

    score: (queries, responses, contexts as JSON) -> one number a reply, any scale.
    Returns the reward's gain and bias, the reference policy's mean score, the history of rounds and the last one.
    Raises RlhfError, with nothing written, on too few prompts, a policy that collapses or says nothing, a reward that
    is not finite or always the same.
    """
    if prompts.empty or settings.temperature == 0:
        raise RlhfError("PPO needs prompts and a temperature above 0; it learns from differing replies")
    trainer = PpoTrainer(str(sft_folder), prompts.to_dict("records"), score, settings, compute)
    start = time.monotonic()
    scale = trainer.calibrate()
    history = trainer.train()
    save_policy(trainer.policy, trainer.tokenizer, folder)
    return {
        "reward_gain": scale.gain,
        "reward_bias": scale.bias,
        "reference_score": -scale.bias / scale.gain,
        "seconds": time.monotonic() - start,
        "final": history[-1],
        "history": history,
    }


class PpoTrainer:
    """The policy with everything that changes while it learns."""

    def __init__(
        self, sft_folder: str, prompts: Sequence[dict[Any, Any]], score: Score, settings: PpoSettings, compute: Compute
    ) -> None:
        self.settings, self.compute, self.score, self.prompts = settings, compute, score, prompts
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
        self.head = ValueHead(model.config.hidden_size, self.draws).to(compute.device)
        self.weights = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            [
                {"params": self.weights, "lr": settings.learning_rate},
                {"params": self.head.parameters(), "lr": settings.value_learning_rate},
            ],
            eps=settings.adam_epsilon,
        )
        self.kl_coefficient = settings.kl_coefficient
        self.order = self.shuffled_prompts()

    def shuffled_prompts(self) -> Iterator[int]:
        """Prompts without end, each once before any comes again."""
        while True:
            yield from torch.randperm(len(self.prompts), generator=self.draws).tolist()

    def collect(self, update: int, size: int) -> Rollout:
        """Sample `size` replies with the current weights and score their texts."""
        settings = self.settings
        rows = [self.prompts[next(self.order)] for _ in range(size)]
        prompts = encode_rows(self.tokenizer, rows, self.context, settings.max_new_tokens)
        seeds = [seed_of(settings.seed, update, i) for i in range(size)]
        refresh(self.sampler, self.policy)
        replies = sample(
            self.sampler,
            prompts,
            seeds,
            self.stops,
            settings.max_new_tokens,
            settings.temperature,
            settings.batch_size,
        )
        texts = [decode(self.tokenizer, reply) for reply in replies]
        if not any(texts):
            raise RlhfError(f"all {size} replies are empty; train SFT on longer answers or lower learning_rate")
        scores = self.score([row["query"] for row in rows], texts, texts_of(rows, "context", "[]"))
        return Rollout(prompts, replies, texts, check_scores(scores, size))

    def assess(self, rollout: Rollout) -> Assessment:
        """Log-probabilities of policy and reference and values, before any step of the round."""
        settings = self.settings
        return assess(
            rollout,
            self.policy,
            self.reference,
            self.head,
            settings.temperature,
            settings.micro_batch_size,
            self.compute,
        )

    def calibrate(self) -> RewardScale:
        """Fit the reward's scale and the value head to replies of the reference policy, which is still this one."""
        settings = self.settings
        log.info("ppo: %d replies of the SFT policy set the reward's scale", settings.calibration_prompts)
        rollout = self.collect(0, settings.calibration_prompts)
        self.scale = RewardScale.from_reference(rollout.scores, settings.reward_clip, settings.running_scale)
        assessment = self.assess(rollout)
        check_reference(rollout, assessment, self.compute)
        rewards = self.rewards(rollout, assessment)
        _, to_go = gae(rewards, torch.zeros_like(rewards), rollout.mask, settings.discount, gae_lambda=1.0)
        warm_up(self.head, assessment.states, to_go[rollout.mask], settings.value_shrinkage)
        return self.scale

    def rewards(self, rollout: Rollout, assessment: Assessment) -> torch.Tensor:
        """Token rewards (rows, tokens): the scaled score less the penalties at the end, the KL's price all along."""
        settings = self.settings
        outcome = torch.tensor(self.scale(rollout.scores), dtype=torch.float32)
        outcome -= missing_stop(rollout.stopped, settings.missing_stop_penalty)
        outcome -= overlong(
            rollout.lengths, settings.max_new_tokens, settings.overlong_tokens, settings.overlong_penalty
        )
        ratio = log_ratio(assessment.log_probs, assessment.reference_log_probs)
        rewards = token_rewards(outcome, ratio, rollout.mask, self.kl_coefficient)
        return whiten(rewards, rollout.mask, keep_mean=True) if settings.whiten_rewards else rewards

    def train(self) -> list[dict[str, float]]:
        """All rounds; returns each one's figures."""
        settings, history = self.settings, []
        progress = Progress("ppo", settings.updates)
        for update in range(1, settings.updates + 1):
            self.set_rates(1 - (update - 1) / settings.updates)
            start = time.monotonic()
            rollout = self.collect(update, settings.prompts_per_update)
            sampled = time.monotonic()
            assessment = self.assess(rollout)
            rewards = self.rewards(rollout, assessment)
            self.scale.observe(rollout.scores)
            advantages, returns = gae(rewards, assessment.values, rollout.mask, settings.discount, settings.gae_lambda)
            if settings.whiten_advantages:
                advantages = whiten(advantages, rollout.mask, keep_mean=False)
            assessed = time.monotonic()
            learned = self.learn(rollout, assessment, advantages, returns, first=update == 1)
            end = time.monotonic()
            figures = {
                "update": update,
                **round_figures(rollout, assessment, rewards, returns),
                **learned,
                "kl_coefficient": self.kl_coefficient,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "episodes_per_second": len(rollout.replies) / (end - start),
                "rollout_seconds": sampled - start,
                "assessment_seconds": assessed - sampled,
                "learning_seconds": end - assessed,
            }
            history.append(figures)
            progress.step(describe(figures))
            if figures["kl"] > settings.collapse_kl:
                raise RlhfError(
                    f"the policy collapsed: {figures['kl']:.0f} nats a reply from the SFT policy in round {update}; "
                    "lower learning_rate or raise kl_coefficient"
                )
            if settings.kl_target is not None:
                self.kl_coefficient = adapt_coefficient(
                    self.kl_coefficient, figures["kl"], settings.kl_target, len(rollout.replies), settings.kl_horizon
                )
        return history

    def set_rates(self, share: float) -> None:
        """Learning rates fall linearly over the rounds, the last one's being 1/updates of the first."""
        for group, rate in zip(
            self.optimizer.param_groups, (self.settings.learning_rate, self.settings.value_learning_rate), strict=True
        ):
            group["lr"] = rate * share

    def learn(
        self, rollout: Rollout, assessment: Assessment, advantages: torch.Tensor, returns: torch.Tensor, first: bool
    ) -> dict[str, float]:
        """Several passes over the replies in freshly drawn minibatches; stops when the policy has moved too far."""
        settings, steps, too_far = self.settings, [], False
        for rows in self.minibatches(len(rollout.replies)):
            steps.append(self.gradients(rollout, rows, assessment, advantages, returns))
            if first and len(steps) == 1:
                check_unmoved(steps[0], self.compute)
            moved, ratio = steps[-1]["approximate_kl"], steps[-1]["ratio_mean"]
            too_far = moved > settings.update_kl_limit or ratio > settings.update_ratio_limit
            if too_far:
                break
            self.optimizer.step()
        means = {name: float(np.mean([step[name] for step in steps])) for name in steps[0]}
        return means | {"steps": len(steps) - too_far}

    def minibatches(self, replies: int) -> Iterator[list[int]]:
        """Rows of each optimizer step: every pass over the replies in a fresh order."""
        for _ in range(self.settings.epochs):
            for part in torch.randperm(replies, generator=self.draws).chunk(self.settings.minibatches):
                yield part.tolist()

    def gradients(
        self,
        rollout: Rollout,
        rows: list[int],
        assessment: Assessment,
        advantages: torch.Tensor,
        returns: torch.Tensor,
    ) -> dict[str, float]:
        """Accumulate a minibatch's gradients, clipped, over micro-batches; every token weighs the same in any split."""
        settings, device, model, mask = self.settings, self.compute.device, plain(self.policy), rollout.mask
        tables = (assessment.log_probs, assessment.values, advantages, returns)
        tokens, sums = int(mask[rows].sum()), Counter[str]()
        self.optimizer.zero_grad(set_to_none=True)
        for micro in rollout.micro_batches(rows, settings.micro_batch_size):
            old_log_probs, old_values, advantage, target = (take(table, micro, mask, device) for table in tables)
            batch = rollout.batch(micro, model.config.pad_token_id, device)
            states = reply_states(model, batch, self.compute)
            log_probs = token_log_probs(model, states, batch.targets, settings.temperature, self.compute)
            values = self.head(states if settings.value_shapes_trunk else states.detach())
            surrogate, parts = policy_loss(log_probs, old_log_probs, advantage, settings.ratio_clip)
            error, value_clipped = value_loss(values, old_values, target, settings.value_clip)
            ((surrogate + settings.value_coefficient * error) / tokens).backward()
            parts |= {"policy_loss": surrogate.detach(), "value_loss": error.detach(), "value_clipped": value_clipped}
            sums.update({name: part.item() / tokens for name, part in parts.items()})
        norms = {
            "policy_grad_norm": clip_grad_norm_(self.weights, settings.max_grad_norm).item(),
            "value_grad_norm": clip_grad_norm_(self.head.parameters(), settings.max_grad_norm).item(),
        }
        if not np.isfinite([*sums.values(), *norms.values()]).all():
            raise RlhfError("PPO's loss or gradient is not finite; lower learning_rate and look at the reward")
        return step_figures(sums) | norms

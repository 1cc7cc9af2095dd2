"""What learns in PPO: the policy's weights and the value head, in minibatches of a round's replies."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from rlhf_assets.compute import Compute
from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.history import check_unmoved, step_figures
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.losses import policy_loss, value_loss
from rlhf_assets.policy.rollouts import Assessment, Rollout, take
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.policy.value import ValueHead, states_of
from rlhf_assets.policy.weights import plain
from rlhf_assets.reward.processes import Processes

log = logging.getLogger(__name__)

SUMS = ("ratio", "ratio_squared", "clipped", "approximate_kl", "policy_loss", "value_loss", "value_clipped")


class PpoLearner:
    """`policy` may carry an adapter, which alone learns then; `draws` orders the replies."""

    def __init__(
        self, policy: Any, settings: PpoSettings, compute: Compute, draws: torch.Generator, processes: Processes
    ) -> None:
        self.policy, self.settings, self.compute = policy, settings, compute
        self.draws, self.processes = draws, processes
        self.head = ValueHead(plain(policy).config.hidden_size, draws).to(compute.device)
        self.weights = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            [
                {"params": self.weights, "lr": settings.learning_rate},
                {"params": self.head.parameters(), "lr": settings.value_learning_rate},
            ],
            eps=settings.adam_epsilon,
        )

    def set_rates(self, share: float) -> None:
        """Give both parts this share of their learning rates."""
        rates = (self.settings.learning_rate, self.settings.value_learning_rate)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
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
                log.warning(
                    "this round's learning ends after %d of %d steps: the policy has moved %.2f nats a token, its mean "
                    "ratio is %.2f; lower learning_rate where that happens often",
                    len(steps) - 1,
                    settings.epochs * settings.minibatches,
                    moved,
                    ratio,
                )
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
        tables = (assessment.log_probs, assessment.values, assessment.paid, advantages, returns)
        tokens, sums = int(mask[rows].sum()), torch.zeros(len(SUMS), device=device)
        self.optimizer.zero_grad(set_to_none=True)
        for micro in self.processes.share(list(rollout.micro_batches(rows, settings.micro_batch_size))):
            old_log_probs, old_values, paid, advantage, target = (take(table, micro, mask, device) for table in tables)
            batch = rollout.batch(micro, model.config.pad_token_id, device)
            states = reply_states(model, batch, self.compute)
            log_probs = token_log_probs(model, states, batch.targets, settings.temperature, self.compute)
            read = states if settings.value_shapes_trunk else states.detach()
            values = self.head(states_of(read, paid, rollout.lengths[micro].tolist()))
            surrogate, parts = policy_loss(log_probs, old_log_probs, advantage, settings.ratio_clip)
            error, value_clipped = value_loss(values, old_values, target, settings.value_clip)
            ((surrogate + settings.value_coefficient * error) / tokens).backward()
            parts |= {"policy_loss": surrogate.detach(), "value_loss": error.detach(), "value_clipped": value_clipped}
            sums += torch.stack([parts[name] for name in SUMS])
        self.processes.sum_gradients([*self.weights, *self.head.parameters()])
        means = dict(zip(SUMS, (self.processes.total(sums) / tokens).tolist(), strict=True))
        norms = {
            "policy_grad_norm": clip_grad_norm_(self.weights, settings.max_grad_norm).item(),
            "value_grad_norm": clip_grad_norm_(self.head.parameters(), settings.max_grad_norm).item(),
        }
        if not np.isfinite([*means.values(), *norms.values()]).all():
            raise RlhfError("PPO's loss or gradient is not finite; lower learning_rate and look at the reward")
        return step_figures(means) | norms

    def snapshot(self) -> list[torch.Tensor]:
        """The policy's weights that learn, copied to the CPU."""
        return [weight.detach().cpu().clone() for weight in self.weights]

    @torch.no_grad()
    def put_back(self, weights: Sequence[torch.Tensor]) -> None:
        """Set the policy's weights that learn to those of a snapshot."""
        for ours, kept in zip(self.weights, weights, strict=True):
            ours.copy_(kept)

    def state(self) -> dict[str, Any]:
        """What the steps to come hang on, of plain types and tensors alone."""
        return {
            "weights": self.snapshot(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken."""
        self.put_back(state["weights"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])

"""The value head: one linear layer on the last hidden state of the policy's trunk."""

import torch
from torch import nn


class ValueHead(nn.Linear):
    """How much reward is still to come, from a token's hidden state.

    Weights N(0, 1/sqrt(d+1)) and bias 0 (Huang 2024) until `warm_up` fits them. The hidden state that predicts a token
    is the state before that token, so the same position gives its value.
    """

    def __init__(self, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__(hidden_size, 1)
        with torch.no_grad():
            self.weight.normal_(0, (hidden_size + 1) ** -0.5, generator=generator)
            self.bias.zero_()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """hidden: (..., d) in any float type. Returns values (...) in float32."""
        return super().forward(hidden.float()).squeeze(-1)


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """1 - var(returns - values) / var(returns), both (tokens,): 1 is perfect, 0 no better than a constant."""
    variance = returns.var(correction=0)
    return float(1 - (returns - values).var(correction=0) / variance) if variance > 0 else 0.0


@torch.no_grad()
def warm_up(head: ValueHead, states: torch.Tensor, returns: torch.Tensor, shrinkage: float) -> None:
    """Fit the head to rewards-to-go of the reference policy before the policy moves: ridge regression, in one step.

    states: (tokens, d) of its replies; returns: (tokens,). Tokens of one reply share its outcome, so there are far
    fewer independent rows than tokens: `shrinkage`, in units of the states' mean variance, keeps the rest near 0.
    """
    x, y = states.double().cpu(), returns.double().cpu()
    mean = x.mean(0)
    gram = (x - mean).T @ (x - mean)
    gram.diagonal().add_(shrinkage * gram.diagonal().mean())
    weight = torch.linalg.lstsq(gram, ((x - mean).T @ (y - y.mean()))[:, None]).solution[:, 0]  # 0 for states all alike
    head.weight.copy_(weight[None])
    head.bias.copy_(y.mean() - mean @ weight)

"""The value head: one linear layer on the mean of the trunk's hidden states so far, and on what steps were paid."""

import torch
from torch import nn


class ValueHead(nn.Linear):
    """What a reply will have earned when it ends, of KL from this token on, by the token's state.

    A state is the mean of the hidden states that predict this token and those before it in its reply, and what the
    steps before it were paid, their mean (0 where steps are not rewarded). The mean keeps what was said, and a value of
    it moves little from one token to the next: where the newest hidden state alone is read, it jumps with every word,
    and GAE takes each jump for an advantage. Weights N(0, 1/sqrt(d+1)) and bias 0 (Huang 2024) until `warm_up` fits
    them.
    """

    def __init__(self, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__(hidden_size + 1, 1)
        with torch.no_grad():
            self.weight.normal_(0, (hidden_size + 1) ** -0.5, generator=generator)
            self.bias.zero_()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """states: (..., d + 1) float32, as `states_of` makes them. Returns values (...)."""
        return super().forward(states).squeeze(-1)


def states_of(hidden: torch.Tensor, paid: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """States (tokens, d + 1), float32, of hidden states (tokens, d) in any float type and what steps were paid.

    The tokens are those of replies of these lengths, one reply behind the other; paid: (tokens,).
    """
    so_far = [
        reply.cumsum(0) / torch.arange(1, len(reply) + 1, device=reply.device)[:, None]
        for reply in hidden.float().split(lengths)
    ]
    return torch.cat([torch.cat(so_far), paid[:, None]], dim=-1)


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """1 - var(returns - values) / var(returns), both (tokens,): 1 is perfect, 0 no better than a constant."""
    variance = returns.var(correction=0)
    return float(1 - (returns - values).var(correction=0) / variance) if variance > 0 else 0.0


@torch.no_grad()
def warm_up(head: ValueHead, states: torch.Tensor, returns: torch.Tensor, shrinkage: float) -> None:
    """`catch_up` from 0, on the reference policy's replies, before the policy moves."""
    head.weight.zero_()
    head.bias.zero_()
    catch_up(head, states, returns, shrinkage)


@torch.no_grad()
def catch_up(head: ValueHead, states: torch.Tensor, returns: torch.Tensor, shrinkage: float) -> None:
    """Add to the head the ridge regression of what it leaves of the returns.

    states: (tokens, d + 1); returns: (tokens,). Tokens of one reply share its outcome, so there are far fewer
    independent rows than tokens: `shrinkage`, in units of the variance of the mean hidden states, keeps what is
    added near 0, but for the bias and the weight of what steps were paid.
    """
    place = torch.device("cpu") if states.device.type == "mps" else states.device  # which has no float64
    x, y = states.to(place).double(), (returns.to(states.device) - head(states)).to(place).double()
    mean = x.mean(0)
    gram = (x - mean).T @ (x - mean)
    hidden = gram.diagonal()[:-1]
    hidden.add_(shrinkage * hidden.mean())
    weight = torch.linalg.pinv(gram, hermitian=True) @ ((x - mean).T @ (y - y.mean()))  # 0 for inputs all alike
    head.weight.add_(weight[None].to(head.weight))
    head.bias.add_((y.mean() - mean @ weight).to(head.bias))

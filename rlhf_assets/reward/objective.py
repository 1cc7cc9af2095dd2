"""One number a text, several losses on it: scores, thumbs, answers that compete."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rlhf_assets.reward.lessons import Lessons

STEEPNESS = 4.0  # of the chance to like over the rating: that of a thumb is near 0 and 1 at its ends


class Objective(nn.Module):
    """The loss of ratings (n,) that a model gives the texts of some lessons, per unit of the lessons' weight.

    Scores: squared error. Thumbs: the cross-entropy of sigmoid(steepness (rating - turning point)). Competing answers:
    -log sigmoid(steepness (better - worse)) (Bradley-Terry). The steepnesses and the turning point are learned beside
    the model and thrown away with this.
    """

    def __init__(self, lessons: Lessons, device: str) -> None:
        super().__init__()
        self.log_steepness = nn.Parameter(torch.full((2,), STEEPNESS, device=device).log())  # of thumbs, of pairs
        self.turning_point = nn.Parameter(torch.tensor(0.5, device=device))
        self.device = device
        self.take(lessons)

    def take(self, lessons: Lessons) -> None:
        """Judge by these lessons from now on."""

        def held(values: np.ndarray) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=self.device)

        self.score, self.score_weight = held(lessons.score), held(lessons.score_weight)
        self.thumb, self.thumb_weight = held(lessons.thumb), held(lessons.thumb_weight)
        self.pair_weight, self.weight = held(lessons.pair_weight), lessons.weight
        self.better, self.worse = (
            torch.from_numpy(numbers).to(self.device) for numbers in (lessons.better, lessons.worse)
        )

    def forward(self, ratings: Tensor, texts: Tensor | None = None) -> Tensor:
        """The sum of weighted losses of `texts` (k,), by number and with ratings (k,), all of them by default; pairs
        count where both are among them."""
        texts = torch.arange(len(self.score), device=self.device) if texts is None else texts
        score, thumb = self.score_weight[texts], self.thumb_weight[texts]
        steepness = self.log_steepness.exp()
        liked = steepness[0] * (ratings - self.turning_point)
        loss = (score * (ratings - self.score[texts]) ** 2).sum()
        loss = loss + (thumb * (softplus(liked) - self.thumb[texts] * liked)).sum()
        if len(self.better):
            place = torch.full((len(self.score),), -1, device=self.device)
            place[texts] = torch.arange(len(texts), device=self.device)
            better, worse = place[self.better], place[self.worse]
            there = (better >= 0) & (worse >= 0)
            gap = steepness[1] * (ratings[better[there]] - ratings[worse[there]])
            loss = loss + (self.pair_weight[there] * softplus(-gap)).sum()
        return loss

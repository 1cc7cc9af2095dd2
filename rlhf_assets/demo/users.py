"""The simulated users: three segments with their own strictness, noise, laziness and ways of rating."""

import math
import random
from dataclasses import dataclass

import numpy as np

USERS = 260
# Middle and spread of taste over the shipped answers: what a user of average strictness calls a 3, and a step up.
MESSAGE_SCALE = (0.47, 0.13)
STEP_SCALE = (0.42, 0.16)


@dataclass(frozen=True)
class Segment:
    """What the users of one segment have in common; strictness and noise in points of a 1-5 scale."""

    name: str
    share: float
    strictness: float
    noise: float
    rates_message: float  # chance that a served answer is rated
    rates_steps: float  # chance that its steps are rated
    thumbs: float  # chance that a rating is a thumb without a score


SEGMENTS = (
    Segment("homeowner", 0.40, -0.4, 0.7, 0.75, 0.15, 0.50),
    Segment("professional", 0.35, 0.5, 0.5, 0.85, 0.35, 0.15),
    Segment("student", 0.25, 0.0, 1.0, 0.65, 0.20, 0.35),
)


@dataclass(frozen=True)
class User:
    """One simulated rater."""

    number: int
    segment: Segment
    strictness: float

    def opinion(self, liked: float, scale: tuple[float, float]) -> float:
        """What the user would say without noise on an endless 1-5 scale, for a taste `liked` in [0, 1]."""
        middle, spread = scale
        return 3 + 1.1 * (liked - middle) / spread - self.strictness


def population(seed: int = 10) -> list[User]:
    """All users, always the same."""
    draw = random.Random(seed)
    users = []
    for number in range(USERS):
        segment = draw.choices(SEGMENTS, weights=[s.share for s in SEGMENTS])[0]
        users.append(User(number, segment, segment.strictness + draw.gauss(0, 0.3)))
    return users


def as_score(opinion: float) -> int:
    return min(5, max(1, round(opinion)))


def expected_score(liked: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Mean normalised rating (n,) that the population gives to tastes `liked` (n,): what a perfect model would say.

    Exact in the noise: the chance of each score and thumb is a difference of normal distribution functions.
    """
    total, weight = np.zeros(len(liked)), 0.0
    for user in population():
        segment = user.segment
        opinions = np.array([user.opinion(value, scale) for value in liked])
        above = [_chance_above(opinions, cut, segment.noise) for cut in (1.5, 2.5, 3.5, 4.5)]
        score, thumb = sum(above) / 4, _chance_above(opinions, 3.0, segment.noise)
        rates = segment.rates_message if scale is MESSAGE_SCALE else segment.rates_steps
        total += rates * (segment.thumbs * thumb + (1 - segment.thumbs) * score)
        weight += rates
    return total / weight


def _chance_above(opinions: np.ndarray, cut: float, noise: float) -> np.ndarray:
    return np.array([0.5 * math.erfc((cut - value) / noise / math.sqrt(2)) for value in opinions])

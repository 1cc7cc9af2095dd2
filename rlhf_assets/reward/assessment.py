"""Everything that says how far a trained reward model can be trusted, from one scoring of its test votes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlhf_assets.compute import Compute
from rlhf_assets.reward.calibration_figures import calibration, thumbs
from rlhf_assets.reward.evaluation import evaluate_reward
from rlhf_assets.reward.gate import reward_gates
from rlhf_assets.reward.learning_curve import learning_curve
from rlhf_assets.reward.length_figures import length_figures
from rlhf_assets.reward.noise_ceiling import noise_ceiling
from rlhf_assets.reward.scoring import RewardScorer
from rlhf_assets.reward.settings import RewardSettings

WORST = 20
FIRST = ["error", "predicted", "score", "query", "response"]  # what a person reads first


@dataclass(frozen=True)
class Assessment:
    """`figures`: plain floats for a card; `gates`: reasons against the model; `test`: its rows with `predicted`."""

    figures: dict[str, Any]
    gates: Mapping[str, list[str]]
    test: pd.DataFrame

    def worst(self) -> pd.DataFrame:
        """The votes that the model gets most wrong, the worst first, with their `error`; columns as in `test`."""
        error = (self.test["predicted"] - self.test["score"]).abs()
        worst = self.test.assign(error=error).nlargest(WORST, "error").reset_index(drop=True)
        return worst[[*FIRST, *worst.columns.difference(FIRST, sort=False)]]


def assess_reward(
    model: Path,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    settings: RewardSettings,
    compute: Compute,
) -> Assessment:
    """Test the model in that folder, which was made from these votes with these settings; see `Assessment`."""
    scorer = RewardScorer(model, compute)
    predicted = predictions(scorer, test)
    mean_of_train, seen = float(train["score"].mean()), pd.concat([train, validation], ignore_index=True)
    thumbs_up = validation[validation["is_thumb"].astype(bool)]
    fitted_on = predictions(scorer, thumbs_up), thumbs_up["score"].to_numpy(np.float64)
    figures = {
        **evaluate_reward(predicted, test, mean_of_train, settings.seed),
        "calibration": calibration(predicted, test, settings.seed),
        "thumbs": thumbs(fitted_on, predicted, test, settings.seed),
        "length": length_figures(predicted, test, seen, settings.seed),
        "noise_ceiling": noise_ceiling(pd.concat([seen, test], ignore_index=True)),
        "learning_curve": learning_curve(train, test, settings, compute),
    }
    gates = reward_gates(figures, settings)
    return Assessment({**figures, "gates": gates}, gates, test.assign(predicted=predicted))


def predictions(scorer: RewardScorer, votes: pd.DataFrame) -> np.ndarray:
    """The calibrated prediction for each vote (n,)."""
    return scorer.calibrated(scorer.score_votes(votes))

"""The head alone, against a solver that is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from rlhf_assets.compute import Compute
from rlhf_assets.reward.head import fitted_heads, pooled, ridge
from rlhf_assets.reward.inputs import encode_frame
from rlhf_assets.reward.lessons import lessons
from rlhf_assets.reward.loading import head, load_classifier
from rlhf_assets.reward.objective import Objective
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_gpt2

FP32 = Compute("cpu", "fp32")


def test_on_scores_alone_it_is_ridge_regression() -> None:
    rows = votes(80).assign(is_thumb=False, user_id=None, kind="message").drop_duplicates(["query", "response"])
    known = lessons(rows, RewardSettings(step_weight=1))
    features = torch.randn(len(known.texts), 5, generator=torch.Generator().manual_seed(0))
    everything, start = torch.arange(len(features)), (torch.zeros(5), torch.tensor(0.5))
    weight, bias = ridge(features, Objective(known, "cpu"), 0.1, everything, start)
    exact = Ridge(alpha=0.1 * known.weight).fit(features.numpy(), known.score, known.score_weight)
    assert weight.numpy() == pytest.approx(exact.coef_, abs=1e-4)
    assert bias.item() == pytest.approx(exact.intercept_, abs=1e-4)


@pytest.mark.parametrize("make", [tiny_encoder, tiny_gpt2])
def test_what_is_pooled_is_what_the_head_reads(make: object, tmp_path: Path) -> None:
    base = make(tmp_path / "base")  # type: ignore[operator]
    model, tokenizer = load_classifier(str(base), 64, trained=False)
    model.eval()
    features = encode_frame(tokenizer, votes(30))
    read = pooled(model, tokenizer, FP32, features)
    layer = head(model)
    said = read @ layer.weight[0] + (layer.bias[0] if layer.bias is not None else 0)
    plain = [model(**tokenizer.pad([one], return_tensors="pt")).logits.item() for one in features]
    assert said.detach().numpy() == pytest.approx(np.array(plain), abs=1e-5)


def test_the_penalty_is_the_one_best_on_questions_not_known() -> None:
    rows = votes(120).assign(is_thumb=False, user_id=None, kind="message").drop_duplicates(["query", "response"])
    known = lessons(rows, RewardSettings())
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(len(known.texts), 60, generator=draw)
    questions = np.arange(len(known.texts)) // 4
    telling = torch.cat([torch.tensor(known.score, dtype=torch.float32)[:, None], noise], 1)
    for features, shrunk in ((noise, True), (telling, False)):
        best, smallest = fitted_heads(features, Objective(known, "cpu"), questions)
        said = (features.double() @ best[0] + best[1]).numpy()
        assert bool(np.var(said) < 0.1 * np.var(known.score)) is shrunk
        assert smallest[0].norm() <= best[0].norm()
        assert said.mean() == pytest.approx(known.score.mean(), abs=0.02)

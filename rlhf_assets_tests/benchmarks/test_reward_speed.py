import torch

from benchmarks.reward_speed_cells import step_moments


def test_only_the_steps_that_train_the_model_are_timed() -> None:
    weight = torch.zeros(1, requires_grad=True)

    def loss() -> torch.Tensor:
        value = (weight - 1).square().sum()
        value.backward()
        return value

    def training() -> None:
        torch.optim.LBFGS([weight], max_iter=2).step(loss)  # as our head is solved for
        for _ in range(3):
            torch.optim.AdamW([weight]).step()

    moments, beside = step_moments(training)
    assert len(moments) == 3
    assert beside > 0

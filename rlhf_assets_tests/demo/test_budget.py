from pathlib import Path

import pytest

from rlhf_assets.commands.demo import STAGES
from rlhf_assets.demo import budget
from rlhf_assets.demo.summary import cuts
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.settings import project_settings


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RLHF_SETTINGS", "")  # also puts back what the test lets it become
    return tmp_path / "demo.toml"


def took(times: float) -> dict[str, float]:
    """Minutes of the stages before PPO on a machine so many times slower than the reference."""
    return {stage: times * minutes for stage, minutes in budget.REFERENCE_MINUTES.items()}


def test_every_stage_before_ppo_is_counted():
    assert list(budget.REFERENCE_MINUTES) == list(STAGES)[: list(STAGES).index("ppo")]


@pytest.mark.parametrize(("times", "updates"), [(1.2, 5), (50, budget.FEWEST_UPDATES)])
def test_a_slow_machine_does_fewer_updates_and_is_told(
    times: float, updates: int, settings_file: Path, caplog: pytest.LogCaptureFixture
):
    budget.fit_to_machine(settings_file, took(times))
    fitted = project_settings(PpoSettings)
    assert fitted.updates == updates < PpoSettings().updates
    assert f"PPO runs {updates} of {PpoSettings().updates} updates" in caplog.text
    assert cuts(fitted.model_dump()) == [f"PPO ran {updates} updates, not {PpoSettings().updates}"]


def test_a_fast_machine_and_settings_of_ones_own_are_left_alone(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    budget.fit_to_machine(settings_file, took(0.9))
    monkeypatch.setenv("RLHF_SETTINGS", "mine.toml")
    budget.fit_to_machine(settings_file, took(50))
    assert not settings_file.exists()
    assert not caplog.text
    assert cuts(PpoSettings().model_dump()) == []

from pathlib import Path

import pytest

from rlhf_assets.demo import budget
from rlhf_assets.demo.summary import cuts
from rlhf_assets.policy.settings import PpoSettings
from rlhf_assets.settings import project_settings


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RLHF_SETTINGS", "")  # also puts back what the test lets it become
    return tmp_path / "demo.toml"


@pytest.mark.parametrize("speed", [0.01, 0.7])
def test_a_slow_machine_does_fewer_updates_and_is_told(
    speed: float, settings_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(budget, "gflops", lambda compute: speed * budget.REFERENCE_GFLOPS)
    budget.fit_to_machine(settings_file)
    fitted = project_settings(PpoSettings)
    assert budget.FEWEST_UPDATES <= fitted.updates < PpoSettings().updates
    assert f"PPO runs {fitted.updates} of {PpoSettings().updates} updates" in caplog.text
    assert cuts(fitted.model_dump()) == [f"PPO ran {fitted.updates} of {PpoSettings().updates} updates"]


def test_a_fast_machine_and_settings_of_ones_own_are_left_alone(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(budget, "gflops", lambda compute: budget.REFERENCE_GFLOPS)
    budget.fit_to_machine(settings_file)
    monkeypatch.setattr(budget, "gflops", lambda compute: 0.01 * budget.REFERENCE_GFLOPS)
    monkeypatch.setenv("RLHF_SETTINGS", "mine.toml")
    budget.fit_to_machine(settings_file)
    assert not settings_file.exists()
    assert not caplog.text
    assert cuts(PpoSettings().model_dump()) == []

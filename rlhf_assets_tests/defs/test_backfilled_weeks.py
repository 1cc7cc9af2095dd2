"""Several weeks of policies as a backfill asks for them and the project's own run queue lets them through."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext

from rlhf_assets.commands.backfill import FEEDBACK
from rlhf_assets.commands.instance import CONFIGURATION
from rlhf_assets_tests.defs.world import SETTINGS, WEEKS, World, until_done

FIRST, SKIPPED, THIRD, _ = WEEKS
MODELS = ["reward_dataset", "policy_prompts", "reward_model", "judge_model", "sft_policy", "ppo_policy"]
JUDGED = ["policy_evaluation", "promotion"]
ANYTHING_PASSES = """
win_rate = 0.0
kl_budget = 1e6
length_factor = 1e6
repetition_rise = 1.0
stop_rate_loss = 1.0
faulty_rise = 1.0
perplexity_factor = 1e6
questions_loss = 1.0
"""


@pytest.fixture(scope="module")
def own_settings() -> str:
    return SETTINGS.replace("[GateSettings]\n", f"[GateSettings]{ANYTHING_PASSES}")


@pytest.fixture(scope="module")
def launching() -> Mapping[str, Any]:
    return {"concurrency": yaml.safe_load(CONFIGURATION.read_text())["concurrency"]}


def test_each_week_is_compared_with_the_one_promoted_before(world: World, workspace: WorkspaceProcessContext) -> None:
    launch = world.module("automation.launch")
    assert launch.materialize_weeks(world.instance, FEEDBACK, WEEKS)
    assert launch.materialize_weeks(world.instance, MODELS, [FIRST, THIRD])
    status = until_done(world, workspace, launch.request_backfill(world.instance, JUDGED, [FIRST, SKIPPED, THIRD]))
    assert status.runs == {"SUCCESS": 3}, status
    assert status.succeeded, "the week without a policy was skipped, and nothing failed"
    assert "dagster/max_runtime" not in world.last_run().tags, "a training may take as long as dagster.yaml says"
    assert [reason for reason in status.skipped if f"there is no ppo_policy of week {SKIPPED}" in reason]
    first, third = (world.store.require("ppo_policy", week, ("candidate",)).relative_path for week in (FIRST, THIRD))
    verdicts = {week: world.store.require("promotion", week).card for week in (FIRST, THIRD)}
    assert {card.status for card in verdicts.values()} == {"promoted"}
    compared = world.store.require("policy_evaluation", THIRD).card
    assert {parent.path for parent in compared.parents if parent.asset == "ppo_policy"} == {first, third}
    assert verdicts[FIRST].created_at < compared.created_at

"""What happens when the app changes votes that are extracted already, and when a person asks to be forgotten.

The tests share one deployment and build on each other in the order of this file.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import psycopg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext

from rlhf_assets.errors import RlhfError
from rlhf_assets.feedback import forget as forgetting
from rlhf_assets.feedback.forget import Forgotten, forget
from rlhf_assets.feedback.prompts import prompt_id
from rlhf_assets.storage.artifacts import Artifact, file_sha256
from rlhf_assets_tests.defs.world import LAST, WEEKS, World, until_done

RAW = ["raw_message_feedback", "raw_step_feedback"]
CLEAN = ["clean_feedback", "feedback_audit", "quarantined_feedback"]
DATASETS = ["policy_prompts", "reward_dataset"]


def tick(world: World, cursor: str | None = None) -> tuple[str, str]:
    """One evaluation of the sensor; what it says, and its new cursor."""
    module, resources = world.module("automation.changed_feedback"), world.module("resources")
    given = {"database": resources.Database(), "artifacts": resources.Artifacts()}
    with dg.build_sensor_context(world.instance, cursor=cursor, resources=given) as context:
        data = module.changed_feedback.evaluate_tick(context)
    return data.skip_message, data.cursor


def rate_anew(world: World, week: str) -> None:
    """As an app does that updates votes in place."""
    with psycopg.connect(world.admin_url) as connection:
        connection.execute(
            "update chat_feedback set feedback_score = 6 - feedback_score where id = (select vote_id from rlhf.feedback"
            " where created_at >= %s and kind = 'message' and feedback_score <> 3 order by created_at limit 1)",
            (week,),
        )


def test_nothing_has_changed_after_an_extraction(world: World) -> None:
    launch = world.module("automation.launch")
    assert tick(world) == ("no week has been extracted yet", None)
    assert launch.materialize_weeks(world.instance, [*RAW, *CLEAN], WEEKS)
    assert launch.materialize_weeks(world.instance, DATASETS, WEEKS[-2:])
    assert world.materialize("reward_model", "judge_model", "sft_policy")
    assert tick(world) == (f"no vote has changed in the weeks from {WEEKS[0]} on", WEEKS[0])
    assert tick(world, WEEKS[0])[1] == WEEKS[0], "the next round"


def test_a_changed_week_is_made_anew_with_what_hangs_on_it(world: World, workspace: WorkspaceProcessContext) -> None:
    changed, before = WEEKS[1], {week: world.store.require(RAW[0], week).card.run_id for week in WEEKS}
    rate_anew(world, changed)
    said, cursor = tick(world)
    assert f" for {changed}; " in said
    assert tick(world, cursor)[0] == "the last request is still under way"
    status = until_done(world, workspace, said.split()[1])
    assert status.succeeded, status
    after = {week: world.store.require(RAW[0], week).card.run_id for week in WEEKS}
    assert [week for week in WEEKS if after[week] != before[week]] == [changed]
    for asset in (*CLEAN, *DATASETS):
        anew = [week for week in WEEKS if len(world.store.of_week(asset, week)) == 2]
        assert anew == (WEEKS[1:] if asset in CLEAN else [LAST]), asset  # clean feedback looks back
    extractions = world.store.require("reward_dataset", LAST).card.figures["extractions"]
    (what_changed,) = [one["since_first"] for one in extractions if sum(one["since_first"].values())]
    assert what_changed == {"added": 0, "removed": 0, "changed": 1}
    assert tick(world)[0].startswith("no vote has changed")


def test_a_backfill_of_one_week_makes_no_other_week(world: World, workspace: WorkspaceProcessContext) -> None:
    """Neither the clean weeks that look back on it nor the datasets of the weeks after it."""
    launch, week = world.module("automation.launch"), WEEKS[-2]
    made = [*RAW, *CLEAN, *DATASETS]
    before = {(asset, name): len(world.store.of_week(asset, name)) for asset in made for name in WEEKS}
    asked = launch.request_backfill(world.instance, made, [week])
    status = until_done(world, workspace, asked)
    assert status.succeeded, status
    after = {key: len(world.store.of_week(*key)) for key in before}
    assert {key for key in before if after[key] != before[key]} == {(asset, week) for asset in made}


def test_older_datasets_and_models_are_marked_and_kept(world: World) -> None:
    marked = {}
    for asset in (*DATASETS, "reward_model", "sft_policy"):
        records = world.instance.fetch_observations(dg.AssetKey(asset), limit=100).records
        marked[asset] = {
            record.partition_key: str(record.event_log_entry.asset_observation.metadata["outdated"].value)
            for record in records
        }
    text = f"made from feedback that has changed since, of {WEEKS[1]}"
    assert marked == {
        **{asset: {WEEKS[-2]: text} for asset in DATASETS},
        **{asset: {LAST: text} for asset in ("reward_model", "sft_policy")},
    }
    assert len(world.store.of_week("reward_model", LAST)) == 1


def test_weeks_apart_are_made_anew_in_one_request(world: World, workspace: WorkspaceProcessContext) -> None:
    apart = [WEEKS[0], WEEKS[2]]
    before = {week: world.store.require(RAW[0], week).card.run_id for week in WEEKS}
    for week in apart:
        rate_anew(world, week)
    said, _ = tick(world)
    assert f" for {', '.join(apart)}; " in said
    status = until_done(world, workspace, said.split()[1])
    assert status.succeeded, status
    after = {week: world.store.require(RAW[0], week).card.run_id for week in WEEKS}
    assert [week for week in WEEKS if after[week] != before[week]] == apart
    assert tick(world)[0].startswith("no vote has changed")


def person_of(world: World, side: str) -> str:
    """Somebody with votes on that side of the last dataset."""
    votes = world.store.require("reward_dataset", LAST).frame(f"{side}.parquet")
    return str(votes["user_id"].value_counts().index[0])


def forget_person(world: World, user: str) -> Forgotten:
    with psycopg.connect(world.admin_url, autocommit=True) as connection:
        return forget(world.store, connection, user)


def everything(world: World) -> str:
    """All rows of all artifacts as text, whatever their format."""
    from datasets import load_from_disk

    texts = []
    for asset in world.store.assets():
        for artifact in world.store.all(asset):
            folder = artifact.local()
            for name, sha256 in artifact.card.files.items():
                assert file_sha256(folder / name) == sha256, f"{name} of {artifact.relative_path}"
                if name.endswith(".parquet"):
                    texts.append(pd.read_parquet(folder / name).to_csv())
                elif name.endswith((".csv", ".json", ".html")):
                    texts.append((folder / name).read_text())
            for kind in sorted(path for path in (folder / "huggingface").glob("*")):
                texts += [split.to_pandas().to_csv() for split in load_from_disk(kind).values()]
    return "\n".join(texts)


def test_a_forgotten_person_is_nowhere_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person_of(world, "train")
    extracted = pd.concat(
        [a.frame("rows.parquet") for asset in RAW for week in WEEKS for a in world.store.of_week(asset, week)]
    )
    own, others = extracted.query("user_id == @user"), extracted.query("user_id != @user")
    said = "\n".join([*others["query"], *others["response"]])
    texts = {text for text in (*own["query"], *own["response"]) if text not in said}
    traces = {user, *own["vote_id"], *texts}
    assert len(texts) > 10
    before = everything(world)
    assert all(trace in before for trace in traces)
    hashes = {a.relative_path: a.card.content_hash for asset in world.store.assets() for a in world.store.all(asset)}

    replaced = []

    def power_cut(artifact: Artifact, *given: Any) -> Artifact:
        if len(replaced) == 5:
            raise OSError("the disk is gone")
        replaced.append(artifact)
        return kept(artifact, *given)

    kept = forgetting.replace_files
    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "replace_files", power_cut)
        with pytest.raises(OSError, match="gone"):
            forget_person(world, user)
    forgotten = forget_person(world, f" {user.upper()}")
    left = everything(world)
    assert [trace for trace in traces if trace in left] == []
    assert set(forgotten.rows) >= {"reward_dataset", "policy_prompts"}
    models = {Path(path).parts[-3] for path in forgotten.models}
    assert models == {"reward_model", "sft_policy"}, "the judge learned from other people"
    after = [a for asset in world.store.assets() for a in world.store.all(asset)]
    assert {a.relative_path: a.card.content_hash for a in after} == hashes
    assert all(sum(e.rows for e in a.card.erased) for a in after if a.card.asset == "reward_dataset")
    assert forget_person(world, user) == Forgotten({}, forgotten.models)
    late = pd.DataFrame({"prompt_id": [prompt_id(query, "[]", None) for query in own["query"].head(3)]})
    with world.store.draft("policy_evaluation", LAST, "a run that was under way") as draft:
        late.to_parquet(draft.folder / "samples.parquet")
        draft.commit()
    assert forget_person(world, user).rows == {"policy_evaluation": 3}


def test_a_forgotten_person_is_in_no_row_that_a_model_gets_most_wrong(world: World) -> None:
    (model, *_) = world.store.of_week("reward_model", LAST)
    before = {name: model.frame(name) for name in ("worst_rows.parquet", "test_predictions.parquet")}
    user = before["worst_rows.parquet"]["user_id"].iloc[0]
    forgotten = forget_person(world, user)
    own = {name: int((rows["user_id"] == user).sum()) for name, rows in before.items()}
    assert forgotten.rows["reward_model"] == sum(own.values())
    model = world.store.open(model.relative_path)
    for name, rows in before.items():
        left = model.frame(name)
        assert (len(left), user in set(left["user_id"])) == (len(rows) - own[name], False)
        assert file_sha256(model.local() / name) == model.card.files[name]


def test_an_id_that_nobody_has_is_refused(world: World) -> None:
    with pytest.raises(RlhfError, match="nobody has the id 0000"):
        forget_person(world, "00000000-0000-0000-0000-000000000000")


def test_nothing_of_a_forgotten_person_is_extracted_again(world: World) -> None:
    (user,) = psycopg.connect(world.admin_url).execute("select user_id from rlhf.forgotten").fetchone() or ("",)
    assert tick(world)[0].startswith("no vote has changed"), "their absence is no change of the assistant's"
    launch = world.module("automation.launch")
    assert launch.materialize_weeks(world.instance, [*RAW, *CLEAN], WEEKS)
    assert user not in everything(world)


def test_a_database_that_is_down_fails_the_tick_and_moves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_DB_URL", "postgresql://rlhf_pipeline@127.0.0.1:1/app")
    with pytest.raises(dg.Failure, match="the next tick tries again"):
        tick(world)

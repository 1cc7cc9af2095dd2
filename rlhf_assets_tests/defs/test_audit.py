"""The audit as it is materialized: what it compares, what it warns of, and what Dagster gets to see of it."""

from collections.abc import Iterator

import dagster as dg
import psycopg
import pytest

from rlhf_assets.feedback.weeks import bounds, earlier, first_week, weeks_between
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.defs.feedback import TOPICS, write_feedback
from rlhf_assets_tests.feedback.votes import clean_frame, vote

FIRST = first_week()
WEEKS = weeks_between(FIRST, earlier(FIRST, -2))
RAW = ["raw_message_feedback", "raw_step_feedback"]
CLEAN = ["clean_feedback", "quarantined_feedback"]
EVIL = "<b>![](https://example.org/x.png)</b>"


@pytest.fixture
def instance(
    settings: None, store: ArtifactStore, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Three weeks of like votes, but in the last one a new model version answers, and its name is no name."""
    monkeypatch.setenv("RLHF_ARTIFACTS", str(store.root))
    write_feedback(admin, dict.fromkeys(WEEKS, 200))
    admin.execute("update public.messages set model_version = %s where created_at >= %s", [EVIL, WEEKS[-1]])
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(instance: dg.DagsterInstance, assets: list[str], first: str, last: str) -> dg.ExecuteInProcessResult:
    from rlhf_assets.definitions import defs

    how = {"partition_key": first} if first == last else {"tags": dict(zip(RANGE, (first, last), strict=True))}
    return (
        defs()
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=instance, asset_selection=[dg.AssetKey(name) for name in assets], **how)
    )


RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
AUDIT = "feedback_audit"


def test_a_planted_drift_warns_in_its_week_alone(instance: dg.DagsterInstance, store: ArtifactStore) -> None:
    result = materialize(instance, [*RAW, *CLEAN, AUDIT], WEEKS[0], WEEKS[-1])
    assert result.success
    checks = [check for check in result.get_asset_check_evaluations() if check.asset_key == dg.AssetKey(AUDIT)]
    assert len(checks) == 7
    (warned,) = [check for check in checks if not check.passed]
    assert (warned.check_name, warned.severity) == ("drift", dg.AssetCheckSeverity.WARN)
    assert set(warned.metadata) == {"weeks", WEEKS[-1]}
    told = warned.metadata[WEEKS[-1]]
    assert isinstance(told, dg.TextMetadataValue), "nothing renders what stands in a name"
    assert f"{EVIL} from 0% to 100% of the votes." in (told.text or "")
    audits = {week: store.require(AUDIT, week) for week in WEEKS}
    assert [bool(audit.card.figures["warnings"]["drift"]) for audit in audits.values()] == [False, False, True]
    assert audits[WEEKS[-1]].card.figures["rated_share"] == pytest.approx(1)
    assert audits[WEEKS[-1]].card.figures["activity"]["all"]["returned_share"] > 0.9
    assert list(audits[WEEKS[1]].card.figures["weeks"]) == WEEKS[:2]  # never later ones


def test_the_width_of_a_backfill_changes_nothing(instance: dg.DagsterInstance, store: ArtifactStore) -> None:
    materialize(instance, [*RAW, *CLEAN, AUDIT], WEEKS[0], WEEKS[-1])
    wide = store.require(AUDIT, WEEKS[1])
    materialize(instance, [AUDIT], WEEKS[1], WEEKS[1])
    alone = store.require(AUDIT, WEEKS[1])
    assert alone.card.run_id != wide.card.run_id
    assert alone.card.figures == wide.card.figures
    assert alone.card.files == wide.card.files, "the page too"


def test_a_week_before_that_was_never_cleaned_gives_no_comparison(
    instance: dg.DagsterInstance, store: ArtifactStore
) -> None:
    materialize(instance, RAW, WEEKS[0], WEEKS[-1])
    assert materialize(instance, [*CLEAN, AUDIT], WEEKS[-1], WEEKS[-1]).success
    figures = store.require(AUDIT, WEEKS[-1]).card.figures
    assert figures["votes"]["clean"] > 100
    assert figures["positive_share_before"] is None
    assert set(figures["drift"]["week_before"].values()) == {None}
    assert list(figures["weeks"]) == [WEEKS[-1]]


def test_a_long_run_compares_each_week_with_its_own_look_back_alone(store: ArtifactStore) -> None:
    from rlhf_assets.defs.clean_feedback.feedback_audit import cleaned_votes

    weeks = weeks_between(FIRST, earlier(FIRST, -7))
    for week in weeks:
        with store.draft("clean_feedback", week, "run") as draft:
            clean_frame(vote(0, at=bounds(week)[0])).to_parquet(draft.folder / "rows.parquet")
            draft.commit()
    wide = {
        week: (list(votes), [parent.card.week for parent in read]) for week, votes, read in cleaned_votes(store, weeks)
    }
    assert wide[weeks[2]][0] == weeks[:3]
    assert wide[weeks[-1]] == (weeks[-5:], weeks[-5:])
    for week in weeks:
        ((_, alone, read),) = cleaned_votes(store, [week])
        assert wide[week] == (list(alone), [parent.card.week for parent in read])


def test_neither_metadata_nor_report_holds_what_people_wrote(
    instance: dg.DagsterInstance, store: ArtifactStore
) -> None:
    result = materialize(instance, [*RAW, *CLEAN, AUDIT], WEEKS[0], WEEKS[0])
    (made,) = [event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey(AUDIT)]
    metadata = made.materialization.metadata
    positive = store.require(AUDIT, WEEKS[0]).card.figures["positive_share"]["value"]
    assert metadata["positive_share"].value == pytest.approx(positive, rel=1e-3)
    assert str(metadata["positive_votes"].value).startswith("![](data:image/png;base64,")
    page = store.require(AUDIT, WEEKS[0]).path("report.html").read_text()
    assert metadata["report"].value == str(store.require(AUDIT, WEEKS[0]).path("report.html"))
    pictures = [value for value in metadata.values() if "base64" in str(value)]
    words = {"useless", "vague", *TOPICS} - {"port", "union", "bus", "grid", "tax"}  # which other words contain
    shown = str([value for value in metadata.values() if value not in pictures])
    for text in (shown, page):
        assert not [word for word in words if f"{word} " in text]

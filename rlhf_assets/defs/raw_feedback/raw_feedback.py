"""Each week's votes with the conversation they are about, as the assistant's database has them."""

from dataclasses import asdict

import dagster as dg

from rlhf_assets.defs.labels import FEEDBACK_FRESH, USER_TEXT, column_schema
from rlhf_assets.defs.partitions import ONE_RUN, WEEKS, weeks_of
from rlhf_assets.defs.reporting import OWNERS, mendable, report
from rlhf_assets.defs.resources import Artifacts, Database
from rlhf_assets.feedback.columns import RAW
from rlhf_assets.storage.artifacts import Artifact

CODE_VERSION = "3"
ROWS = "rows.parquet"
COVERAGE = "coverage.parquet"  # how much of what was said was rated, as numbers

# a database that restarts is back within seconds, and a person who mistyped a password should not wait long
RECONNECT = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL)


def extract(
    context: dg.AssetExecutionContext, kind: str, database: Database, artifacts: Artifacts
) -> dg.MaterializeResult:
    """Write every vote of that kind ("message", "step") of the run's weeks; a week without votes has 0 rows.

    A week's card says what its source was like, so that a later change can be seen. When the connection is lost, the
    step goes on with the first week that this run has not written yet.
    """
    import pyarrow.parquet as pq

    from rlhf_assets.feedback.coverage import read_coverage
    from rlhf_assets.feedback.read import check_source, write_week

    asset, run_id, store = context.asset_key.to_user_string(), context.run.run_id, artifacts.store
    made: dict[str, Artifact] = {}
    with mendable(allow_retries=True):
        connection = database.connect(read_only=True)
    with mendable(), connection:
        check_source(connection)
        for week in weeks_of(context):
            if written := store.of_run(asset, week, run_id):
                made[week] = written
                continue
            with store.draft(asset, week, run_id) as draft:
                source = write_week(connection, kind, week, draft.folder / ROWS)
                pq.write_table(read_coverage(connection, kind, week), draft.folder / COVERAGE)
                made[week] = draft.commit(
                    code_version=CODE_VERSION, counts={"rows": source.rows}, figures={"source": asdict(source)}
                )
    return report(context, made, asset)


@dg.asset(
    partitions_def=WEEKS,
    backfill_policy=ONE_RUN,
    retry_policy=RECONNECT,
    kinds={"postgres", "parquet"},
    owners=OWNERS,
    tags=USER_TEXT,
    metadata=column_schema(RAW),
    freshness_policy=FEEDBACK_FRESH,
    group_name="raw_feedback",
    code_version=CODE_VERSION,
)
def raw_message_feedback(
    context: dg.AssetExecutionContext, database: Database, artifacts: Artifacts
) -> dg.MaterializeResult:
    """The week's votes on whole answers, as the assistant's database has them, each with its conversation.

    Read by the vote's own date; a week without votes has no rows. Without the database the step is tried again, then
    fails; nothing is lost, and a backfill of the week makes up for it.
    """
    return extract(context, "message", database, artifacts)


@dg.asset(
    partitions_def=WEEKS,
    backfill_policy=ONE_RUN,
    retry_policy=RECONNECT,
    kinds={"postgres", "parquet"},
    owners=OWNERS,
    tags=USER_TEXT,
    metadata=column_schema(RAW),
    freshness_policy=FEEDBACK_FRESH,
    group_name="raw_feedback",
    code_version=CODE_VERSION,
)
def raw_step_feedback(
    context: dg.AssetExecutionContext, database: Database, artifacts: Artifacts
) -> dg.MaterializeResult:
    """The week's votes on single reasoning steps, as the assistant's database has them, each with its conversation.

    Like raw_message_feedback; an assistant that shows no steps has none, and everything works without them.
    """
    return extract(context, "step", database, artifacts)

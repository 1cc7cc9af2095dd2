"""`rlhf audit` on audits laid out by hand."""

import json
from typing import Any

import pandas as pd
import pytest

from rlhf_assets.feedback.activity import COLUMNS
from rlhf_assets.feedback.audit import audit_week, votes_of
from rlhf_assets.feedback.audit_checks import warnings
from rlhf_assets.feedback.clean import clean_week
from rlhf_assets.feedback.settings import AuditSettings, CleaningSettings
from rlhf_assets.feedback.weeks import bounds, earlier, last_closed_week
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.home import artifact_root
from rlhf_assets_tests.commands.runner import rlhf
from rlhf_assets_tests.feedback.votes import frame, vote

WEEK = last_closed_week()


def figures() -> dict[str, Any]:
    """Of three votes and one without a date."""
    raw = frame(*(vote(number, at=bounds(WEEK)[0], segment="[red]farmer\x1b[2J") for number in range(3)))
    result, settings = clean_week(raw, frame(), CleaningSettings()), AuditSettings()
    nobody_asked = pd.DataFrame(columns=list(COLUMNS))
    outside = {"no_date": 1, "before_first_week": 0, "future": 0}
    made = audit_week(WEEK, {WEEK: votes_of(result.clean)}, 3, result.quarantined, nobody_asked, outside, settings)
    return {**made, "warnings": warnings(made, settings)}


def lay(week: str, of: dict[str, Any]) -> Artifact:
    with ArtifactStore(artifact_root()).draft("feedback_audit", week, "run") as draft:
        (draft.folder / "report.html").write_text("page")
        return draft.commit(figures=of)


def test_a_week_never_audited_is_one_line_with_the_command() -> None:
    result = rlhf("audit")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"feedback_audit of week {WEEK} is not there; make it with `rlhf backfill --from {WEEK} --to {WEEK}`\n"
    )


def test_an_audit_of_an_older_version_is_one_line_with_the_command() -> None:
    lay(WEEK, {"votes": {"raw": 3}})
    result = rlhf("audit")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"the audit of week {WEEK} is of an older version; make it anew with `rlhf backfill"
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("week", ["2026-11-16", "not a week"])
def test_a_date_that_starts_no_week_is_bad_usage(week: str) -> None:
    assert rlhf("audit", "--week", week).exit_code == 2


def test_what_to_look_at_stands_first_then_short_tables_then_the_page() -> None:
    made = lay(WEEK, figures())
    shown = rlhf("audit").stdout
    lines = [line for line in shown.splitlines() if line.strip()]
    assert lines[0] == f"Feedback audit, week {WEEK}"
    assert lines[1].startswith("Votes in no week: 1 without a date")
    assert shown.index("Weeks") < shown.index("Segments") < shown.index("Left out")
    assert "[red]farmer" in shown
    assert "\x1b[2J" not in shown
    assert "…" not in shown, "something is cut in 80 columns"
    assert lines[-1] == str(made.path("report.html"))


def test_json_is_the_figures_of_the_week_asked_for() -> None:
    week = earlier(WEEK, 1)
    made, expected = lay(week, figures()), figures()
    lay(WEEK, {})
    result = rlhf("audit", "--week", week, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed.pop("week") == week
    assert printed.pop("report") == str(made.path("report.html"))
    assert printed == json.loads(json.dumps(expected))

"""Questions, answers, steps and names that would do something where they are shown, through the real assets."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from rlhf_assets.feedback.weeks import last_closed_week
from rlhf_assets.report import TEMPLATE, Table, page
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets_tests.commands.runner import json_lines, rlhf
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.world import SETTINGS, environment, freshly_loaded

WEEK = last_closed_week()
HTML = "<script>fetch('//evil')</script><img src=x onerror=evil()>\"'><a href=javascript:evil()>"
TEXT = f"TEXT{HTML} ![evil](https://evil/x.png) [evil](javascript:evil()) {{{{ 7 * 7 }}}}{{% raw %}}"
NAME = f"[red]NAME[/]\x1b[2J\x1b]0;evil\x07\x9b2J\u202e{HTML}"
TERMINAL = ("\x1b", "\x07", "\x9b", "\u202e")
OURS = (  # what may be rendered: a picture of our making, links to weeks of assets and to runs
    r"!\[\]\(data:image/png;base64,[A-Za-z0-9+/=]+\)|([a-z ,\n]*\[[a-z0-9_ -]+\]\(/(assets|runs)/[a-z0-9_?=&-]+\))+"
)
MADE = (
    "raw_message_feedback",
    "raw_step_feedback",
    "clean_feedback",
    "quarantined_feedback",
    "feedback_audit",
    "reward_dataset",
    "policy_prompts",
    "reward_model",
    "judge_model",
)


class Elements(HTMLParser):
    """The names of a page's elements and of their attributes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(html: str) -> Elements:
    """The page's elements, which must be the template's own: nothing of a text became one."""
    own, found = Elements(TEMPLATE.read_text()), Elements(html)
    assert found.tags <= own.tags | {"table"}  # whose own tag the template writes in parts
    assert found.attributes <= own.attributes
    assert not own.tags & {"script", "a", "iframe", "form"}
    assert not {name for name in own.attributes if name.startswith("on")}
    return found


def test_no_field_of_a_page_becomes_an_element() -> None:
    html = page(
        TEXT,
        WEEK,
        {TEXT: NAME},
        [([TEXT, NAME], TEXT)],
        (TEXT, NAME),
        [Table(TEXT, NAME, (TEXT, NAME), [(TEXT, NAME)], prose=True)],
        {TEXT: b"png"},
    )
    assert harmless(html).text.count("<script>fetch('//evil')</script>") >= 9
    quiet = page("title", WEEK, {}, [], (TEXT, NAME), [], {})
    assert harmless(quiet).text.count("<script>") == 2
    with pytest.raises(AssertionError):
        harmless(html.replace("&lt;script&gt;", "<script>"))


@dataclass
class Told:
    """What Dagster's event log holds, as text and as metadata by name; the artifacts; and what commands said."""

    events: str
    metadata: list[tuple[str, dg.MetadataValue]]
    store: ArtifactStore
    said: dict[str, str]


def metadata_of(entry: dg.EventLogEntry) -> Iterator[tuple[str, dg.MetadataValue]]:
    event = entry.dagster_event
    for one in (entry.asset_materialization, entry.asset_observation):
        yield from one.metadata.items() if one else ()
    if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        yield from event.asset_check_evaluation_data.metadata.items()


@pytest.fixture(scope="module")
def told(server: Path, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Of a week of such votes, extracted, cleaned, audited and trained on."""
    from rlhf_assets.storage import embedded_postgres
    from rlhf_assets_tests.conftest import made

    folder = tmp_path_factory.mktemp("hostile")
    with (
        made(server, f"template {migrated}") as app,
        made(server) as dagster_name,
        pytest.MonkeyPatch.context() as patch,
    ):
        admin_url = embedded_postgres.url(server, app)
        app_url = admin_url.replace("//postgres@", "//rlhf_pipeline@")
        settings = environment(folder, app_url, admin_url, SETTINGS)
        settings |= {"RLHF_FIRST_WEEK": WEEK, "DAGSTER_HOME": str(folder / "dagster")}
        settings["DAGSTER_POSTGRES_URL"] = embedded_postgres.url(server, dagster_name).replace("://", "+psycopg2://")
        with psycopg.connect(admin_url) as connection:
            write_feedback(connection, {WEEK: 600})  # each side has enough of every segment
            connection.execute("update public.users set segment = case segment when 'worker' then %s end", [NAME])
            connection.execute("update public.chats set query = query || %s, system_prompt = %s", [TEXT, TEXT])
            connection.execute("update public.messages set content = content || %s, model_version = %s", [TEXT, NAME])
            connection.execute("update public.reasoning_steps set step_content = step_content || %s", [TEXT])
        patch.chdir(folder)
        with freshly_loaded(settings):
            from rlhf_assets.commands.instance import open_instance

            line = {"query": TEXT, "response": TEXT, "feedback_score": NAME, "segment": NAME}
            said = {"import": rlhf("import", "-", stdin=json_lines(line)).output}
            said["backfill"] = rlhf("backfill", "--from", WEEK, "--to", WEEK, "--local").output
            said["train"] = rlhf("train", "reward", "--epochs", 3).output  # an experiment ends no run, whatever it is
            said["backfill prompts"] = rlhf(
                "backfill", "--from", WEEK, "--to", WEEK, "--assets", "policy_prompts", "--local"
            ).output
            for command in (("audit",), ("audit", "--json"), ("runs",), ("runs", "--json"), ("doctor",)):
                said[" ".join(command)] = rlhf(*command).output
            with open_instance() as instance:
                runs = instance.get_runs()
                entries = [entry for run in runs for entry in instance.all_logs(run.run_id)]
        events = "\n".join(dg.serialize_value(entry) for entry in entries)
        metadata = [named for entry in entries for named in metadata_of(entry)]
        yield Told(events, metadata, ArtifactStore(str(folder / "artifacts")), said)


def test_dagster_is_told_no_text_and_names_as_plain_text_alone(told: Told) -> None:
    assert all(told.store.of_week(asset, WEEK) for asset in MADE)
    assert "TEXT<script>" not in told.events
    assert "evil/x.png" not in told.events
    rendered = [value for _, value in told.metadata if isinstance(value, dg.MarkdownMetadataValue)]
    assert rendered
    for value in rendered:
        assert re.fullmatch(OURS, value.md_str or "")
    assert not any("NAME" in name for name, _ in told.metadata)


def test_no_report_holds_an_element_of_theirs(told: Told) -> None:
    pages = sorted(Path(told.store.root.path).rglob("*.html"))
    assert {path.parent.parent.parent.name for path in pages} == {"feedback_audit", "judge_model", "reward_model"}
    shown = {path.parent.parent.parent.name: harmless(path.read_text(encoding="utf-8")).text for path in pages}
    named = {asset for asset, text in shown.items() if "NAME" in text}  # they do name the segment
    assert "feedback_audit" in named
    assert named & {"judge_model", "reward_model"}  # one of few test votes may have none of that segment


def test_no_command_hands_the_terminal_what_it_would_obey(told: Told) -> None:
    said = told.said
    assert {what: sign for what, text in said.items() for sign in TERMINAL if sign in text} == {}
    assert "NAME" in said["audit"]
    assert "[red]" in said["audit"]  # written, not obeyed
    assert json.loads(said["audit --json"])

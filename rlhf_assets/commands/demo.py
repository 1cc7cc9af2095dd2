"""`rlhf demo`: the whole weekly loop on shipped feedback and real models, stage by stage, with a summary."""

import json
import logging
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_assets.commands.backfill import FEEDBACK
from rlhf_assets.commands.instance import open_instance
from rlhf_assets.commands.output import AsJson, print_json, show_progress
from rlhf_assets.commands.runs import recorded_runs, show_runs
from rlhf_assets.commands.server import bring_up
from rlhf_assets.errors import RlhfError
from rlhf_assets.progress import duration
from rlhf_assets.storage.json_safe import json_safe

if TYPE_CHECKING:
    from rlhf_assets.storage.artifacts import ArtifactStore

log = logging.getLogger(__name__)

REPORT, SETTINGS, TOOK = "demo.json", "demo.toml", "demo_took.json"
SAID = "the lines above say why"
# Each stage is a Dagster run of its own, so that a second `rlhf demo` goes on where the first one stopped.
STAGES = {
    "feedback": FEEDBACK,
    "datasets": ["reward_dataset", "policy_prompts"],
    "reward model": ["reward_model"],
    "judge": ["judge_model"],
    "sft": ["sft_policy"],
    "ppo": ["ppo_policy"],
    "evaluation": ["policy_evaluation"],
    "promotion": ["promotion"],
}


def demo(as_json: AsJson = False) -> None:
    """Run the whole weekly loop on the shipped feedback and real models, and print what came of it.

    Starts the embedded PostgreSQL, loads the demo feedback into it, materializes twelve weeks of feedback and the
    models of the last one. What is there already is reused. The summary is kept as .rlhf/demo.json.

    \b
    Example:  rlhf demo
              rlhf demo --json | jq .win_rates.ppo_vs_sft.gold
    """
    from upath import UPath

    from rlhf_assets.demo.budget import fit_to_machine
    from rlhf_assets.demo.summary import show_summary, summarise
    from rlhf_assets.feedback.weeks import weeks_between
    from rlhf_assets.storage.artifacts import ArtifactStore, write_whole
    from rlhf_assets.storage.home import artifact_root, home

    first, last = prepare_database()
    store = ArtifactStore(artifact_root())
    took = read_took()
    reused, began = [], time.monotonic()
    for number, (stage, keys) in enumerate(STAGES.items(), 1):
        weeks = weeks_between(first, last) if stage == "feedback" else [last]
        named = f"stage {number} of {len(STAGES)}, {stage}"
        if finished(store, stage, weeks):
            reused.append(stage)
            log.info("%s: reused from an earlier run", named)
            continue
        if stage == "ppo":
            fit_to_machine(home() / SETTINGS, took["minutes"])
        started = time.monotonic()
        log.info("%s: starts after %s", named, duration(started - began))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:  # whose end frees its memory
            try:
                done = process.submit(run_stage, keys, weeks[0], weeks[-1]).result()
            except BrokenProcessPool:
                raise RlhfError(f"the demo's process for {stage} was killed; is there memory enough (8 GB)?") from None
        if not (done and finished(store, stage, weeks)):
            because = why(store, keys[-1], last) if done else SAID
            raise RlhfError(f"the demo stopped at {stage}: {because}; mend that, then run it again")
        took["minutes"][stage] = round((time.monotonic() - started) / 60, 2)
        took["peak_memory_gb"] = max(took["peak_memory_gb"], peak_memory_gb())
        write_whole(UPath(home() / TOOK), json.dumps(took))  # a demo that is stopped here goes on from here
    summary: dict[str, Any] = {
        **summarise(store, first, last),
        "training_runs": recorded_runs(),
        **took,
        "reused": reused,
    }
    write_whole(UPath(home() / REPORT), json.dumps(json_safe(summary), ensure_ascii=False, default=str, indent=2))
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)
        show_runs(summary["training_runs"])


def read_took() -> dict[str, Any]:
    """Minutes by stage and the largest process of the stages that are there already."""
    from rlhf_assets.storage.home import home

    kept = home() / TOOK
    return json.loads(kept.read_text()) if kept.exists() else {"minutes": {}, "peak_memory_gb": 0.0}


def peak_memory_gb() -> float:
    """Of the largest process that this one has waited for."""
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2)


def finished(store: "ArtifactStore", stage: str, weeks: list[str]) -> bool:
    """Whether the stage has made all that the next one needs; a refused promotion is a verdict like any other."""
    from rlhf_assets.demo.summary import MADE, USABLE

    statuses = MADE if stage == "promotion" else USABLE
    return all(store.newest(key, week, statuses) for key in STAGES[stage] for week in weeks)


def why(store: "ArtifactStore", asset: str, week: str) -> str:
    """Why there is no such asset to go on with."""
    made = store.of_week(asset, week)
    return "; ".join(made[-1].card.reasons) if made and made[-1].card.reasons else SAID


def run_stage(keys: list[str], first: str, last: str) -> bool:
    """Materialize these assets of these weeks and record the run; whether all went well."""
    from rlhf_assets.defs.automation.launch import materialize_weeks
    from rlhf_assets.defs.training_runs.recorder import record_runs
    from rlhf_assets.defs.training_runs.run_ends import newest_event
    from rlhf_assets.feedback.weeks import weeks_between

    show_progress()
    with open_instance() as instance:
        before = newest_event(instance)
        done = materialize_weeks(instance, keys, weeks_between(first, last))
        record_runs(instance, before)
    return done


def prepare_database() -> tuple[str, str]:
    """Start the embedded PostgreSQL with the demo feedback in it; the first week with votes and the demo's last one.

    Raises RlhfError where a database of one's own is set up: made-up ratings have no place in it.
    """
    from rlhf_assets.demo.load import first_week_with, load_demo
    from rlhf_assets.storage.database import ADMIN, PIPELINE, admin_url, connect, is_embedded
    from rlhf_assets.storage.environment import write_env

    bring_up()
    if not is_embedded(admin_url()):
        raise RlhfError(f"the demo loads made-up ratings, so not into your own database; unset {PIPELINE} and {ADMIN}")
    with connect(admin_url()) as connection:
        first, last = load_demo(connection)
        first = first_week_with(connection, first)
    os.environ.setdefault("RLHF_GOLD", "rlhf_assets.demo.taste:taste")  # not in .env: on real feedback it means nothing
    os.environ["RLHF_FIRST_WEEK"] = first
    write_env(Path(".env"), {"RLHF_FIRST_WEEK": first})
    return first, last

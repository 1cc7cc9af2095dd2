"""Commands that use the models: `score` answers, `generate` them, `export` the promoted policy."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlhf_assets.commands.json_lines import answer_lines
from rlhf_assets.errors import RlhfError

if TYPE_CHECKING:
    from rlhf_assets.storage.artifacts import Artifact, ArtifactStore

File = Annotated[typer.FileBinaryRead, typer.Argument(help="JSON lines; without it or with -, stdin.")]


def score(
    file: File = "-",  # type: ignore[assignment]
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Folder or hub id of a reward model; default: the newest accepted one."),
    ] = None,
) -> None:
    """Score answers with a reward model, JSON lines in and out.

    The lines come back with score (the raw output) and reward (calibrated, 0 to 1). Each line has query and
    response, and may have context: earlier turns, each with role and content. A bad line gets an error, and the exit
    code is 1.

    \b
    Example:  rlhf score answers.jsonl > scored.jsonl
              echo '{"query": "What is a carbon price?", "response": "A fee on emissions."}' | rlhf score
    """
    from rlhf_assets.reward import score as score_rows

    name = model or str(_newest_reward_model().local())
    answer_lines(file, ["query", "response"], lambda rows: score_rows(name, rows))


def generate(
    file: File = "-",  # type: ignore[assignment]
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Folder or hub id of a policy; default: the promoted one.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token each time.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same answers.")] = 0,
) -> None:
    """Answer questions with a policy, JSON lines in and out.

    The lines come back with response, and stopped, which says whether the answer ended by itself. Each line has
    query, and may have context (earlier turns, each with role and content) and system_prompt. A bad line gets an
    error, and the exit code is 1.

    \b
    Example:  rlhf generate questions.jsonl > answers.jsonl
              echo '{"query": "What is a carbon price?"}' | rlhf generate --temperature 0
    """
    from rlhf_assets.policy import generate as answer_rows

    name = model or str(_promoted_policy().local())
    answer_lines(file, ["query"], lambda rows: answer_rows(name, rows, max_new_tokens, temperature, seed))


def export(
    folder: Annotated[
        Path, typer.Option("--promoted", metavar="DIR", help="New folder that the promoted policy is copied to.")
    ],
) -> None:
    """Copy the promoted policy, with its card, to a new folder.

    Stock transformers loads it from there.

    \b
    Example:  rlhf export --promoted ./assistant
    """
    if folder.exists():
        raise typer.BadParameter(f"{folder} is there already; name a new folder")
    policy = _promoted_policy()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(policy.local(), beside, copy_function=shutil.copyfile)  # readable as the person's other files are
    (beside / "card.json").write_text(policy.card.model_dump_json(indent=2))
    beside.rename(folder)
    typer.echo(f"policy of week {policy.card.week} copied to {folder}")


def _store() -> "ArtifactStore":
    from rlhf_assets.storage.artifacts import ArtifactStore
    from rlhf_assets.storage.home import artifact_root

    return ArtifactStore(artifact_root())


def _newest_reward_model() -> "Artifact":
    store = _store()
    for week in reversed(store.weeks("reward_model")):
        if newest := store.newest("reward_model", week):
            return newest
    raise RlhfError("no reward model was accepted yet; make one with `rlhf train reward`, or name one with --model")


def _promoted_policy() -> "Artifact":
    from rlhf_assets.storage.promotions import in_use

    if policy := in_use(_store()):
        return policy
    raise RlhfError(
        "no policy is in use; `rlhf train both` makes one and promotes it if it is better, `rlhf promote --week` uses "
        "one again that was demoted"
    )

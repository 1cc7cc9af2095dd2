"""`rlhf forget`: nothing of a person is learned from again."""

from typing import Annotated

import typer

from rlhf_assets.commands.output import AsJson, print_json


def forget(
    user: Annotated[str, typer.Argument(metavar="USER", help="The person's id, as users.id has it.")],
    as_json: AsJson = False,
) -> None:
    """Forget a person: nothing of theirs is extracted again, and their rows leave every artifact at once.

    The assistant's own tables stay as they are. Models that learned from these rows are listed: they still know them
    until they are trained anew. Run it again once the runs that are under way have ended.

    \b
    Example:  rlhf forget 5f0c4c1e-6a54-4d0e-9d6f-2b8f0f4f9a11
    """
    from rlhf_assets.feedback.forget import forget as take_out
    from rlhf_assets.storage.artifacts import ArtifactStore
    from rlhf_assets.storage.database import admin_url, connect
    from rlhf_assets.storage.home import artifact_root

    with connect(admin_url()) as connection:
        connection.autocommit = True
        forgotten = take_out(ArtifactStore(artifact_root()), connection, user)
    if as_json:
        print_json({"user": user, "rows": forgotten.rows, "models": forgotten.models})
        return
    for asset, rows in forgotten.rows.items():
        typer.echo(f"{asset}: {rows} rows taken out of its artifacts")
    typer.echo(f"no vote of {user} will be extracted again")
    learned = (
        "these models learned from the rows; train them anew:" if forgotten.models else "no model learned from them"
    )
    typer.echo(learned)
    for model in forgotten.models:
        typer.echo(f"  {model}")

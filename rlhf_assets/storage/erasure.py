"""Rows taken out of committed artifacts, for a person who asked to be forgotten: the one exception to "nothing is
overwritten". Cards keep their content hash, which names the artifact, and say what was taken out and when.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlhf_assets.storage.artifacts import CARD, Artifact, file_sha256, write_whole
from rlhf_assets.storage.card import Erasure
from rlhf_assets.storage.home import home
from rlhf_assets.storage.json_safe import json_safe


def note_figures(artifact: Artifact, figures: Mapping[str, Any]) -> None:
    """Put these figures into the artifact's card."""
    card = artifact.card.model_copy(update={"figures": artifact.card.figures | json_safe(figures)})
    write_whole(artifact.folder / CARD, card.model_dump_json(indent=2))


def replace_files(artifact: Artifact, names: Sequence[str], rewritten: Path, rows: int) -> Artifact:
    """Put the files `names` from `rewritten` in place of the artifact's own, in this order; `rows` are gone from them.

    The card goes first: stopped in between, the same call again finishes the work. A download of the artifact that is
    kept in the home is deleted.
    """
    card = artifact.card
    changed = {name: file_sha256(rewritten / name) for name in names}
    if card.files | changed != card.files:
        erased = [*card.erased, Erasure(at=datetime.now(UTC), rows=rows)]
        card = card.model_copy(update={"files": card.files | changed, "erased": erased})
        write_whole(artifact.folder / CARD, card.model_dump_json(indent=2))
    for name in names:
        target = artifact.folder / name
        if artifact.root.protocol:
            artifact.root.fs.put_file(str(rewritten / name), target.path)
        else:
            beside = target.with_name(f".{target.name}.new")
            shutil.copyfile(rewritten / name, beside.path)
            beside.rename(target)
    shutil.rmtree(home() / "downloads" / card.content_hash, ignore_errors=True)
    return Artifact(artifact.root, artifact.folder, card)

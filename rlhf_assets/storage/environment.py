"""`.env`: how plain `dagster` commands learn where the databases are."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dotenv import load_dotenv, set_key


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Set these variables in a .env file; what else a person wrote there stays. Readable by its owner alone."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    if path.exists():
        shutil.copyfile(path, beside)
    for name, value in values.items():
        set_key(beside, name, value)
    beside.rename(path)


def load_env() -> None:
    """Read `.env` of the current folder; what the environment sets already wins."""
    load_dotenv(Path(".env"), override=False)

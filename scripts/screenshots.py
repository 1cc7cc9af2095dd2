"""The pictures in docs/: what the UI shows after `make demo`, by a browser of its own. `make screenshots` runs it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import typer
from browser import PATIENCE, browser

from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.environment import load_env
from rlhf_assets.storage.home import artifact_root

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
GROUPS = ("raw_feedback", "clean_feedback", "datasets", "reward_model", "policy", "evaluation")
OPEN_GROUPS = ",".join(f"global@global:{group}" for group in GROUPS)


def main() -> None:
    """SystemExit with one line when there is no browser, or nothing to photograph."""
    load_env()
    store = ArtifactStore(artifact_root())
    if not (weeks := store.weeks("policy_evaluation")):
        raise SystemExit("there is no policy to show; `make demo` makes one")
    report = store.require("policy_evaluation", weeks[-1]).local() / "report.html"
    with browser() as page, webserver() as url:
        page.open(f"{url}/asset-groups?expanded={OPEN_GROUPS}", 1900, 1800)
        page.wait_for("promotion")
        page.photograph(DOCS / "asset_graph.png", left=542, top=110, right=44)  # the graph alone

        page.open(f"{url}/assets/ppo_policy", 1440, 1100)
        page.wait_for("from_reward_model")
        page.photograph(DOCS / "policy.png")

        page.open(f"{url}/assets/clean_feedback", 1440, 1000)
        page.click("Plots")
        page.wait_for("clean_share")
        page.scroll_to("Metadata")
        page.photograph(DOCS / "weeks.png")

        page.open(report.as_uri(), 1100, 1500)
        page.wait_for("PPO policy")
        page.photograph(DOCS / "policy_report.png")
    typer.echo("\n".join(str(picture) for picture in sorted(DOCS.glob("*.png"))))


@contextmanager
def webserver() -> Iterator[str]:
    """The UI on a free port of this machine; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = str(Path(sys.executable).with_name("dagster-webserver"))
    command = [program, "-h", "127.0.0.1", "-p", str(port), "-w", "workspace.yaml"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=REPOSITORY, **quiet)  # noqa: S603
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(url := f"http://127.0.0.1:{port}"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the webserver did not start; `rlhf doctor` says what is wrong")
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/server_info"):  # noqa: S310
            return True
    except URLError:
        return False


if __name__ == "__main__":
    main()

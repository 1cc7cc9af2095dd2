"""A deployment to be harmed: two PostgreSQL servers, four weeks of feedback, tiny models, and checkpoints often."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import torch

from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.artifacts import ArtifactStore
from rlhf_assets.storage.migrations import local_baseline, migrate
from rlhf_assets_tests.defs.feedback import write_feedback
from rlhf_assets_tests.defs.world import WEEKS
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

SETTINGS = """
[SplitSettings]
judge_share = 0.4
[RewardSettings]
base_model = "{encoder}"
epochs = 6
learning_rate = 5e-4
minimum_test_questions = 1
checkpoint_steps = 20
[SftSettings]
base_model = "{llama}"
maximum_rows = 32
minimum_rows = 10
[PpoSettings]
updates = 10
choice_updates = 2
checkpoint_updates = 2
prompts_per_update = 16
micro_batch_size = 8
calibration_prompts = 16
max_new_tokens = 16
overlong_tokens = 2
[GateSettings]
minimum_prompts = 1
[EvaluationSettings]
prompts = 16
max_new_tokens = 16
"""


@dataclass(frozen=True)
class Deployment:
    """`assistant` and `dagster` are the homes of the two servers, so that one can be restarted without the other."""

    folder: Path

    @property
    def assistant(self) -> Path:
        return self.folder / "assistant"

    @property
    def dagster(self) -> Path:
        return self.folder / "dagster"

    @property
    def admin_url(self) -> str:
        """The assistant's database, as its owner."""
        return embedded_postgres.url(self.assistant, "app")

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(str(self.folder / "artifacts"))

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        """What the newest attempt says."""
        return self.folder / "attempt.log"


@contextmanager
def deployed() -> Iterator[Deployment]:
    """A deployment whose environment is this process's, until its end: the code location is loaded but once."""
    torch.set_num_threads(1)  # sums in one order, and no threads that a fork would lose
    deployment = Deployment(Path(tempfile.mkdtemp(prefix="rlhf-faults-")))
    folder, servers = deployment.folder, (deployment.assistant, deployment.dagster)
    try:
        for home in servers:
            embedded_postgres.start(home)
        admin = deployment.admin_url
        with psycopg.connect(admin) as connection:
            local_baseline(connection)
            migrate(connection)
            write_feedback(connection, dict.fromkeys(WEEKS, 250))
        models = {"encoder": tiny_encoder(folder / "encoder"), "llama": tiny_llama(folder / "llama")}
        (folder / "settings.toml").write_text(SETTINGS.format(**models))
        os.environ |= {
            "SUPABASE_ADMIN_DB_URL": admin,
            "SUPABASE_DB_URL": admin.replace("//postgres@", "//rlhf_pipeline@"),
            "DAGSTER_POSTGRES_URL": embedded_postgres.url(deployment.dagster, "dagster").replace("://", "+psycopg2://"),
            "DAGSTER_HOME": str(folder / "dagster_home"),
            "RLHF_HOME": str(folder),
            "RLHF_ARTIFACTS": str(folder / "artifacts"),
            "RLHF_FIRST_WEEK": WEEKS[0],
            "RLHF_SETTINGS": str(folder / "settings.toml"),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",  # and no threads either
        }
        os.chdir(folder)  # no .env of the developer's own
        load()
        yield deployment
    finally:
        for home in servers:
            embedded_postgres.stop(home)
        os.chdir("/")
        shutil.rmtree(folder)


def load() -> None:
    """Import what the commands do, under the deployment's environment, so that forked processes need not."""
    import rlhf_assets.cli
    import rlhf_assets.policy.evaluation
    import rlhf_assets.policy.sft
    import rlhf_assets.policy.together
    import rlhf_assets.reward.assessment
    import rlhf_assets.reward.model_report
    import rlhf_assets.reward.together  # noqa: F401
    from rlhf_assets.defs.automation.launch import asset_job

    asset_job()

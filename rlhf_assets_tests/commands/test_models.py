"""score, generate and export, on tiny models and a real artifact store."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from rlhf_assets.compute import Compute
from rlhf_assets.policy import generate
from rlhf_assets.reward import score
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets.storage.artifacts import Artifact, ArtifactStore
from rlhf_assets.storage.card import Status
from rlhf_assets.storage.home import artifact_root
from rlhf_assets.storage.promotions import settle
from rlhf_assets_tests.commands.runner import json_lines, rlhf
from rlhf_assets_tests.reward.votes import votes
from rlhf_assets_tests.tiny_models import tiny_encoder, tiny_llama

SOLAR = {"query": "How do I find a job in solar energy?", "response": "Ask a local installer.", "id": 7}
WIND = {"query": "And in wind?", "response": "Train first.", "context": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    settings = RewardSettings(base_model=str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), epochs=1)
    train_reward(votes(40), votes(20, seed=1), settings, Compute("cpu", "fp32"), folder)
    return folder


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("policy"))


def kept(asset: str, week: str, model: Path, status: Status) -> Artifact:
    """The model as an artifact in this test's store."""
    with ArtifactStore(artifact_root()).draft(asset, week, f"run-{status}") as draft:
        for file in model.iterdir():
            (draft.folder / file.name).write_bytes(file.read_bytes())
        return draft.commit(status)


def test_score_adds_to_each_line_and_reports_bad_ones(reward_model: Path) -> None:
    bad = [
        "{'query': no json}",
        "[1, 2]",
        {"query": "no response"},
        {**SOLAR, "response": 5},
        {**SOLAR, "context": "earlier"},
        {**SOLAR, "context": [{"role": "user"}]},
        {**SOLAR, "response": "A fee \ud800"},
    ]
    stdin = (
        json_lines(SOLAR, *bad, "", WIND).encode()
        + b'{"query": "\xff", "response": "Yes, it is.", "feedback_score": 4}\n'
    )
    result = rlhf("score", "--model", reward_model, stdin=stdin)
    first, *refused, last, not_text = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    expected = score(str(reward_model), [SOLAR, WIND])
    assert [first, last] == [{**row, **added} for row, added in zip([SOLAR, WIND], expected, strict=True)]
    assert len(refused) == len(bad)
    assert all(row["error"] and "score" not in row for row in [*refused, not_text])
    assert refused[2]["query"] == "no response"
    assert "half of a character" in refused[-1]["error"]
    assert refused[0]["error"].startswith("line 2 is no JSON")
    assert "8 of 10 lines are bad" in result.stderr


def test_score_reads_a_file_again_after_mending_it(reward_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json_lines({**SOLAR, "error": "of an earlier pass"}))
    result = rlhf("score", file, "--model", reward_model)
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)) == {*SOLAR, "score", "reward"}


def test_score_takes_the_newest_accepted_reward_model(reward_model: Path, tmp_path: Path) -> None:
    assert "no reward model was accepted yet" in rlhf("score", stdin=json_lines(SOLAR)).stderr
    kept("reward_model", "2026-01-04", reward_model, "accepted")
    broken = tmp_path / "broken"
    broken.mkdir()
    for status in ("experiment", "rejected"):  # newer, but not to be used
        kept("reward_model", "2026-01-11", broken, status)
    assert rlhf("score", stdin="").stdout == ""
    result = rlhf("score", stdin=json_lines(SOLAR))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["score"] == score(str(reward_model), [SOLAR])[0]["score"]


@pytest.mark.parametrize("stdin", [json_lines(SOLAR), ""], ids=["a line", "no line"])
def test_a_model_that_is_none_is_one_line(tmp_path: Path, stdin: str) -> None:
    (tmp_path / "empty").mkdir()
    for command in ("score", "generate"):
        result = rlhf(command, "--model", tmp_path / "empty", stdin=stdin)
        assert result.exit_code == 1
        assert str(tmp_path / "empty") in result.stderr
        assert "Traceback" not in result.stderr


def test_generate_answers_as_from_python(policy: Path) -> None:
    rows = [{"query": "What pays best?", "system_prompt": "You advise people."}, WIND]
    options = ["--model", policy, "--max-new-tokens", 12, "--temperature", 0.7, "--seed", 3]
    result = rlhf("generate", *options, stdin=json_lines(rows[0], {"response": "no query"}, rows[1]))
    first, refused, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    expected = generate(str(policy), rows, max_new_tokens=12, temperature=0.7, seed=3)
    assert [first, last] == [{**row, **added} for row, added in zip(rows, expected, strict=True)]
    assert "query" in refused["error"]


def test_generate_and_export_take_the_promoted_policy(policy: Path, tmp_path: Path) -> None:
    for usage in (("generate",), ("export", "--promoted", "out")):
        result = rlhf(*usage, stdin=json_lines(SOLAR))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no policy is in use" in result.stderr
    artifact, store = kept("ppo_policy", "2026-01-04", policy, "accepted"), ArtifactStore(artifact_root())
    with store.draft("promotion", "2026-01-04", "a-run") as draft:
        draft.commit("promoted", parents=[artifact])
    settle(store)
    assert rlhf("generate", "--max-new-tokens", 4, stdin=json_lines(SOLAR)).exit_code == 0

    assert rlhf("export", "--promoted", "out/assistant").exit_code == 0
    out = tmp_path / "out" / "assistant"
    assert {file.name for file in out.iterdir()} == {*artifact.card.files, "card.json"}
    assert json.loads((out / "card.json").read_text())["content_hash"] == artifact.card.content_hash
    AutoModelForCausalLM.from_pretrained(out)
    again = rlhf("export", "--promoted", "out/assistant")
    assert again.exit_code == 2
    assert "is there already" in again.stderr

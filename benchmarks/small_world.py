"""The small policy that PPO's statistics come from, and who judges it: `python -m benchmarks.small_world`.

A Llama of 2.6 million parameters with a vocabulary of its own, trained from nothing on all rated answers of the demo's
training side by plain next-token learning: it answers in numbered steps of poor English and stops by itself after as
many tokens as the demo's answers have. Its reward model and its judge are the project's own, with default settings, on
the demo's votes of the two groups of people. Gold is the simulated people's true taste. Prompts are the distinct
states of a chat of each side. All of it is kept under `.rlhf/benchmarks/small_world`, by what it is made of.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.utils import clip_grad_norm_
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.demo_votes import demo_dataset
from benchmarks.kept_cells import folder
from rlhf_assets.commands.output import show_progress
from rlhf_assets.compute import Compute, choose_compute
from rlhf_assets.demo.taste import step_taste, taste
from rlhf_assets.feedback.prompts import prompt_id
from rlhf_assets.feedback.split import CHAT, Dataset
from rlhf_assets.feedback.steps import split_steps
from rlhf_assets.policy.batching import pad_right
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.policy.log_probs import reply_states, token_log_probs
from rlhf_assets.policy.sft import tokenize
from rlhf_assets.policy.weights import load_policy, save_policy
from rlhf_assets.progress import Progress
from rlhf_assets.reward.settings import RewardSettings
from rlhf_assets.reward.training import train_reward
from rlhf_assets.settings import Settings
from rlhf_assets.storage.home import home

log = logging.getLogger("rlhf_assets.benchmarks")

SIDES = ("train", "validation", "test")
PAD, END = "<|pad|>", "<|end|>"


class SmallPolicySettings(Settings):
    """The small policy and how it learns to speak."""

    vocabulary: int = Field(4096, description="Byte-level BPE tokens; four characters of the demo's answers each.")
    layers: int = Field(4, description="With the width, 2.6 million parameters: seeds in minutes.")
    width: int = Field(192, description="Of the hidden states, in heads of 64.")
    context: int = Field(512, description="Tokens of prompt and reply together.")
    passes: int = Field(4, description="Over the 1,657 answers, 104 steps each; six learned them by heart.", gt=0)
    batch_size: int = Field(16, description="Answers to one optimizer step.", gt=0)
    learning_rate: float = Field(2e-3, description="Peak, after a tenth of the steps; cosine to zero.")
    seed: int = Field(0, description="Initialises the weights and orders the answers.")


@dataclass(frozen=True)
class World:
    """Folders of models; prompts {prompt_id, query, context, system_prompt, side}; `known_by` names all of it."""

    policy: Path
    reward: Path
    judge: Path
    prompts: pd.DataFrame
    known_by: str

    def side(self, name: str) -> pd.DataFrame:
        return self.prompts[self.prompts["side"] == name]


def small_world(compute: Compute, policy: SmallPolicySettings | None = None) -> World:
    """As an earlier run left it, else made now."""
    policy, reward, dataset = policy or SmallPolicySettings(), RewardSettings(), demo_dataset()
    answers, prompts = answers_to_learn(dataset), prompts_of(dataset)
    votes = pd.concat(dataset.sides())[["vote_id", "query", "response", "score"]]
    hangs_on = [pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes() for rows in (votes, prompts)]
    told = json.dumps([policy.model_dump(), reward.model_dump(mode="json")]).encode()
    known_by = hashlib.sha256(b"".join([told, *hangs_on])).hexdigest()[:12]
    kept = home() / "benchmarks" / "small_world" / known_by
    return World(
        folder(kept / "policy", lambda new: train_policy(answers, policy, compute, new)),
        folder(kept / "reward", lambda new: train_reward(dataset.train, dataset.validation, reward, compute, new)),
        folder(
            kept / "judge",
            lambda new: train_reward(dataset.judge_train, dataset.judge_validation, reward, compute, new),
        ),
        prompts,
        known_by,
    )


def gold(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    """The true taste of each answer, (n,)."""
    return np.array([taste(query, response) for query, response in zip(queries, responses, strict=True)])


def gold_of_steps(queries: list[str], responses: list[str], contexts: list[str]) -> np.ndarray:
    """The mean true taste of each answer's steps, (n,); 0 for a blank one."""
    return np.array(
        [
            np.mean([step_taste(query, step.text) for step in split_steps(response)] or [0.0])
            for query, response in zip(queries, responses, strict=True)
        ]
    )


def answers_to_learn(dataset: Dataset) -> pd.DataFrame:
    """Each answer of the training side that anyone rated, well or badly, once: query, context, response."""
    votes = pd.concat([dataset.train, dataset.judge_train])
    answers = votes.loc[votes["kind"] == "message", [*CHAT, "response"]].drop_duplicates()
    return answers[answers["response"].str.strip() != ""].sort_values([*CHAT, "response"], ignore_index=True)


def prompts_of(dataset: Dataset) -> pd.DataFrame:
    """The distinct states of a chat of each side, without the system prompt, which is always the same."""
    sides = []
    for name in SIDES:
        votes = pd.concat([getattr(dataset, name), getattr(dataset, f"judge_{name}")])
        sides.append(votes[CHAT].drop_duplicates().sort_values(CHAT).assign(side=name))
    states = pd.concat(sides, ignore_index=True).assign(system_prompt=None)
    return states.assign(prompt_id=list(map(prompt_id, states["query"], states["context"], states["system_prompt"])))


def train_policy(answers: pd.DataFrame, settings: SmallPolicySettings, compute: Compute, new: Path) -> None:
    """Write a policy that has learned the answers, questions included, to the folder `new`."""
    start_policy(answers, settings, new)
    tokenizer = load_tokenizer(str(new))
    model = load_policy(new, compute)[0].train()
    rows = [tokenize(tokenizer, row, settings.context)["input_ids"] for row in answers.to_dict("records")]
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    steps = settings.passes * math.ceil(len(rows) / settings.batch_size)
    progress = Progress("small policy", steps)
    for step, texts in enumerate(batches(rows, settings)):
        warm, along = 10 * (step + 1) / steps, step / steps
        optimizer.param_groups[0]["lr"] = settings.learning_rate * min(warm, 0.5 + 0.5 * math.cos(math.pi * along))
        # the first token is given, all others are learned
        given, learned = [ids[:1] for ids in texts], [ids[1:] for ids in texts]
        batch = pad_right(given, learned, tokenizer.pad_token_id, compute.device)
        states = reply_states(model, batch, compute)
        loss = -token_log_probs(model, states, batch.targets, 1.0, compute).mean()
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress.step(f"loss {loss.item():.3f}")
    save_policy(model, tokenizer, new)


def batches(rows: list[list[int]], settings: SmallPolicySettings) -> Iterator[list[list[int]]]:
    """Every pass in a fresh order."""
    draws = np.random.default_rng(settings.seed)
    for _ in range(settings.passes):
        order = draws.permutation(len(rows))
        for start in range(0, len(rows), settings.batch_size):
            yield [rows[i] for i in order[start : start + settings.batch_size]]


def start_policy(answers: pd.DataFrame, settings: SmallPolicySettings, new: Path) -> None:
    """Write a tokenizer of the answers' own words and a policy that has learned nothing."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([*answers["query"], *answers["response"]], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=PAD, eos_token=END)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.width // 64,
        num_key_value_heads=settings.width // 64,
        intermediate_size=8 * settings.width // 3,
        max_position_embeddings=settings.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(new)
    tokenizer.save_pretrained(new)


def main() -> None:
    show_progress()
    world = small_world(choose_compute())
    log.info("policy, reward model and judge are in %s", world.policy.parent)


if __name__ == "__main__":
    main()

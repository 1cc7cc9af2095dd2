"""Sample the demo's answers from SmolLM2-135M-Instruct: `python -m rlhf_assets.demo.answers` (about 15 minutes).

The shipped `data/answers.jsonl.gz` is what this wrote. Each answer comes from one of several recipes (the instruction
of a hosted assistant, how its answer is begun, the temperature, the step at which it is cut as a stop string would),
so that quality varies as it does between versions of a product. Every question has one answer, many two or three.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_assets.demo.lines import write_lines
from rlhf_assets.demo.questions import follow_ups, questions

ANSWERS = Path(__file__).parent / "data" / "answers.jsonl.gz"
QUESTIONS = 1_150
FOLLOW_UP_CHATS = 120
MAX_NEW_TOKENS = 80
BATCH = 64
EXAMPLE = (
    "1. Ask your utility for a free energy audit.\n2. Apply for the state rebate before you buy.\n"
    "3. Hire a certified local installer."
)


@dataclass(frozen=True)
class Recipe:
    """One version of the hosted assistant that answered in the demo."""

    version: str
    share: float
    instruction: str
    opening: str
    temperature: float
    last_step: int | None


RECIPES = (
    Recipe("steps-2", 0.30, f"You advise people on work and money in the climate economy. Reply like this:\n{EXAMPLE}",
           "1.", 0.7, 3),
    Recipe("steps-1", 0.20, f"You advise people on work and money in the climate economy. Reply like this:\n{EXAMPLE}",
           "1.", 1.0, 2),
    Recipe("steps-0", 0.20, "You are the Climate Economy Assistant. Reply with two or three numbered steps, one short "
           "sentence each.", "1.", 0.8, 3),
    Recipe("brief-1", 0.15, "You advise people on jobs and money in the climate economy. Reply with 2 to 4 numbered "
           "steps of one short sentence each, then stop.", "", 0.7, None),
    Recipe("brief-0", 0.15, "Answer briefly as a numbered list, 1. 2. 3., at most ten words each.", "", 1.0, None),
)  # fmt: skip


def answer_requests(seed: int = 0) -> list[dict]:
    """What is asked of which recipe: {query, version, context: [{role, content}]}; contexts are filled when sampled."""
    draw = random.Random(seed)
    requests = []
    for query in questions(QUESTIONS):
        answers = draw.choices((1, 2, 3), weights=(0.35, 0.35, 0.30))[0]
        for recipe in draw.choices(RECIPES, weights=[r.share for r in RECIPES], k=answers):
            requests.append({"query": query, "version": recipe.version, "context": []})
    return requests


def cut(text: str, last_step: int | None) -> tuple[str, bool]:
    """The text up to the end of `last_step`, and whether it had to be cut there."""
    if last_step is not None:
        too_far = re.search(rf"\s+{last_step + 1}[.)]\s", text)
        if too_far:
            return text[: too_far.start()].rstrip(), True
    return text.rstrip(), False


def sample(requests: list[dict], seed: int) -> list[dict]:
    """Answer each request; adds `response` and `finished` (stopped by itself or at its last step)."""
    import torch
    from rich.progress import track
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rlhf_assets.storage.models import resolve_model

    folder = resolve_model("HuggingFaceTB/SmolLM2-135M-Instruct")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    tokenizer.pad_token = "<|endoftext|>"  # noqa: S105  never the stop token
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, use_safetensors=True, trust_remote_code=False
    ).eval()
    torch.manual_seed(seed)
    recipes = {recipe.version: recipe for recipe in RECIPES}
    order = sorted(range(len(requests)), key=lambda i: (requests[i]["version"], len(requests[i]["query"])))
    answered: list[dict] = [{} for _ in requests]
    for start in track(range(0, len(order), BATCH), description="sampling answers"):
        rows = order[start : start + BATCH]
        for version in {requests[i]["version"] for i in rows}:
            recipe, members = recipes[version], [i for i in rows if requests[i]["version"] == version]
            prompts = [
                tokenizer.apply_chat_template(
                    [{"role": "system", "content": recipe.instruction}, *requests[i]["context"],
                     {"role": "user", "content": requests[i]["query"]}],
                    tokenize=False, add_generation_prompt=True,
                ) + recipe.opening
                for i in members
            ]  # fmt: skip
            batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
            with torch.inference_mode():
                output = model.generate(
                    **batch, max_new_tokens=MAX_NEW_TOKENS, do_sample=True, temperature=recipe.temperature, top_k=0,
                    pad_token_id=tokenizer.pad_token_id,
                )  # fmt: skip
            replies = output[:, batch["input_ids"].shape[1] :]
            for i, reply in zip(members, replies, strict=True):
                text, was_cut = cut(
                    recipe.opening + tokenizer.decode(reply, skip_special_tokens=True), recipe.last_step
                )
                finished = was_cut or bool((reply == tokenizer.eos_token_id).any())
                answered[i] = {**requests[i], "response": text, "finished": finished}
    return answered


def main() -> None:
    first = sample(answer_requests(), seed=0)
    draw = random.Random(2)
    openers = draw.sample(range(len(first)), FOLLOW_UP_CHATS)
    second = sample(
        [
            {
                "query": query,
                "version": first[i]["version"],
                "context": [
                    {"role": "user", "content": first[i]["query"]},
                    {"role": "assistant", "content": first[i]["response"]},
                ],
            }
            for i, query in zip(openers, follow_ups(FOLLOW_UP_CHATS), strict=True)
        ],
        seed=1,
    )
    write_lines(ANSWERS, first + second)


if __name__ == "__main__":
    main()

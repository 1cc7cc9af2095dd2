import json
import math
from pathlib import Path

import pytest
import torch

from rlhf_assets.policy.language import QUESTIONS, TEXT, language_figures, questions_right, text_surprise
from rlhf_assets.policy.weights import load_policy
from rlhf_assets_tests.policy.conftest import FP32, constant

QUESTION = {"question": "What do bees make?", "answer": "b", "wrong": "cc"}


def test_surprise_worked_by_hand(gpt2: Path, tmp_path: Path):
    """Two tokens are likely whatever stands before, by known odds; of "abab" the last three count."""
    tokenizer = load_policy(gpt2, FP32)[1]
    a, b = (tokenizer.convert_tokens_to_ids(letter) for letter in "ab")
    chance = constant(gpt2, tmp_path / "letters", {a: 20.0 + math.log(3), b: 20.0}).softmax(0)
    assert chance[a].item() == pytest.approx(0.75, abs=1e-4)
    model, tokenizer = load_policy(tmp_path / "letters", FP32)
    figures = text_surprise(model, tokenizer, ["abab"], FP32)
    nats = -math.log(0.25 * 0.75 * 0.25)
    assert figures["perplexity"] == pytest.approx(math.exp(nats / 3), rel=1e-3)
    assert figures["nats_per_character"] == pytest.approx(nats / 3, rel=1e-3)


def test_the_likelier_answer_by_its_mean_token(gpt2: Path, tmp_path: Path):
    """p(b) = 0.3 and p(c) = 0.4: "cc" has the likelier tokens, though the smaller sum."""
    tokenizer = load_policy(gpt2, FP32)[1]
    b, c, other = (tokenizer.convert_tokens_to_ids(letter) for letter in "bcx")
    constant(gpt2, tmp_path / "letters", {b: 20 + math.log(3), c: 20 + math.log(4), other: 20 + math.log(3)})
    model, tokenizer = load_policy(tmp_path / "letters", FP32)
    swapped = QUESTION | {"answer": "cc", "wrong": "b"}
    assert questions_right(model, tokenizer, [QUESTION], FP32) == 0
    assert questions_right(model, tokenizer, [QUESTION, swapped], FP32) == 0.5
    assert questions_right(model, tokenizer, [QUESTION | {"wrong": "b"}], FP32) == 0  # alike is not right


@pytest.mark.parametrize("name", ["sharp_llama", "sharp_gpt2"])
def test_figures_are_those_of_whole_forward_passes(name: str, request: pytest.FixtureRequest):
    """Question by question and paragraph by paragraph, through the model's own forward and the chat template."""
    model, tokenizer = load_policy(request.getfixturevalue(name), FP32)

    def read(text: str, start: int) -> torch.Tensor:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        return model(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[start - 1 :, 0]

    def mean(question: str, answer: str) -> float:
        asked = [{"role": "user", "content": question}]
        rendered = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        return read(rendered + answer, len(tokenizer(rendered, add_special_tokens=False)["input_ids"])).mean().item()

    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    right = [mean(row["question"], row["answer"]) > mean(row["question"], row["wrong"]) for row in rows]
    with torch.no_grad():
        known = torch.cat([read(paragraph, 1) for paragraph in TEXT.read_text().strip().split("\n\n")])
    figures = language_figures(model, tokenizer, FP32)
    assert figures["questions_right"] == sum(right) / 32
    assert figures["perplexity"] == pytest.approx(math.exp(-known.mean().item()), rel=1e-4)
    assert figures["nats_per_character"] < math.log(figures["perplexity"])  # a token is longer than a character


def test_weights_that_are_shaken_lose_their_language(gpt2: Path, tmp_path: Path):
    """A policy that knows how often each token comes, and the same one with noise on its head."""
    tokenizer = load_policy(gpt2, FP32)[1]
    counts = torch.bincount(torch.tensor(tokenizer(TEXT.read_text())["input_ids"]), minlength=len(tokenizer))
    known = {token: math.log(count + 0.1) for token, count in enumerate(counts.tolist())}
    constant(gpt2, tmp_path / "known", known)
    shake = torch.randn(len(known), generator=torch.Generator().manual_seed(0))
    constant(gpt2, tmp_path / "shaken", {token: known[token] + 2 * shake[token].item() for token in known})
    before, after = (
        text_surprise(*load_policy(tmp_path / name, FP32), TEXT.read_text().split("\n\n"), FP32)
        for name in ("known", "shaken")
    )
    assert after["perplexity"] > 2 * before["perplexity"]
    assert after["nats_per_character"] > before["nats_per_character"]


def test_the_files_are_whole_and_travel_with_the_package():
    questions = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    assert len(questions) == 32
    assert all(set(row) == {"question", "answer", "wrong"} and row["answer"] != row["wrong"] for row in questions)
    assert len({row["question"] for row in questions}) == 32
    assert 400 < len(TEXT.read_text().split()) < 600

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rlhf_assets.reward.inputs import encode, pair

CONTEXT = json.dumps([{"role": "user", "content": "wind"}, {"role": "assistant", "content": "heat pumps"}])
STEPS = json.dumps(["ask your utility", "hire a installer"])


@pytest.fixture
def tokenizer(encoder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(encoder)


def decoded(tokenizer: PreTrainedTokenizerBase, **row: str) -> str:
    """What is left of one row, as text, once it was cut to 24 tokens."""
    tokenizer.model_max_length = 24
    columns = {"queries": "find a job", "responses": "good", "contexts": "[]", "steps_before": "[]", **row}
    (features,) = encode(tokenizer, **{name: [text] for name, text in columns.items()})
    assert len(features["input_ids"]) <= 24
    return tokenizer.decode(features["input_ids"])


def test_pair_puts_all_that_came_before_in_the_first_segment_in_order() -> None:
    first, second = pair("And pay?", "it is good", CONTEXT, STEPS)
    assert first == "user: wind\nassistant: heat pumps\nAnd pay?\nask your utility\nhire a installer\n"
    assert second == "it is good"


def test_rows_that_fit_are_encoded_as_stock_pairs(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = encode(tokenizer, ["find a job", "what pays"], ["good", "bad answer"], [CONTEXT, "[]"], ["[]", STEPS])
    for row, texts in zip(
        rows, [("find a job", "good", CONTEXT), ("what pays", "bad answer", "[]", STEPS)], strict=True
    ):
        assert row == dict(tokenizer(*pair(*texts)))


def test_a_long_row_loses_its_oldest_turns_first(tokenizer: PreTrainedTokenizerBase) -> None:
    context = json.dumps([{"role": "user", "content": "solar " * 30 + "wind"}])
    left = decoded(tokenizer, contexts=context, steps_before=STEPS)
    assert left.endswith("solar wind find a job ask your utility hire a installer [SEP] good [SEP]")
    assert left.count("solar") < 12


def test_then_its_oldest_steps(tokenizer: PreTrainedTokenizerBase) -> None:
    steps = json.dumps(["energy " * 30, "ask your utility"])
    left = decoded(tokenizer, contexts=CONTEXT, steps_before=steps)
    assert left.startswith("[CLS] find a job energy")
    assert left.endswith("energy ask your utility [SEP] good [SEP]")


def test_then_the_start_of_its_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    left = decoded(tokenizer, contexts=CONTEXT, steps_before=STEPS, responses="great " + "useful " * 30 + "bad")
    assert left.startswith("[CLS] find a job [SEP] useful useful")
    assert left.endswith("useful bad [SEP]")
    assert 16 <= left.count("useful") <= 17
    assert "great" not in left


def test_an_answer_without_spaces_is_cut_inside(tokenizer: PreTrainedTokenizerBase) -> None:
    left = decoded(tokenizer, responses="a" * 30 + "z" * 30)
    assert left.replace(" ##", "").replace("##", "").count("z") >= 16


def test_a_question_too_long_by_itself_shares_the_room_with_the_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    left = decoded(tokenizer, queries="solar " * 60, responses="useful " * 60)
    assert 10 <= left.count("solar") <= 11
    assert 10 <= left.count("useful") <= 11


def test_no_rows_and_empty_answers(tokenizer: PreTrainedTokenizerBase) -> None:
    assert encode(tokenizer, [], []) == []
    assert tokenizer.decode(encode(tokenizer, ["solar"], [""])[0]["input_ids"]) == "[CLS] solar [SEP] [SEP]"

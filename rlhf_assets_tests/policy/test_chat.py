import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, GenerationConfig

from rlhf_assets.errors import RlhfError
from rlhf_assets.policy.chat import encode_prompt, load_tokenizer, messages, render, stop_tokens
from rlhf_assets.policy.weights import load_policy, save_policy
from rlhf_assets_tests.policy.conftest import FP32

TURNS = [
    {"role": "user", "content": "What is solar energy?"},
    {"role": "assistant", "content": "Power from the sun."},
    {"role": "user", "content": "And wind?"},
    {"role": "assistant", "content": "Power from moving air."},
]


def test_messages_are_what_the_assistant_sends():
    assert messages("Why?", json.dumps(TURNS[:2]), "Be clear.") == [
        {"role": "system", "content": "Be clear."},
        *TURNS[:2],
        {"role": "user", "content": "Why?"},
    ]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_values_of_a_frame_mean_none(missing: float | None):
    assert messages("Why?", missing, missing) == [{"role": "user", "content": "Why?"}]


STRICT = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) or m['role'] == 'system' %}"
    "{{ raise_exception('user and assistant must take turns') }}{% endif %}"
    "{% if m['content'] == 'never' %}{{ raise_exception('never\nagain') }}{% endif %}"
    "{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
)


def test_a_question_asked_again_is_one_turn_only_where_the_template_wants_it(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    again = messages("Still there?", [*TURNS[:1], {"role": "assistant", "content": ""}])
    assert render(tokenizer, again).count("<|im_start|>user") == 2
    tokenizer.chat_template = STRICT
    assert render(tokenizer, again) == "user: What is solar energy?\n\nStill there?\n"


def test_a_system_turn_in_the_middle_stands_first_where_the_template_takes_none(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    tokenizer.chat_template = STRICT
    reminded = messages("Why?", [*TURNS[:2], {"role": "system", "content": "Be clear."}])
    assert render(tokenizer, reminded) == (
        "user: Be clear.\n\nWhat is solar energy?\nassistant: Power from the sun.\nuser: Why?\n"
    )


def test_a_template_that_wants_a_user_first_gets_one(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    tokenizer.chat_template = STRICT
    greeting = [{"role": "assistant", "content": "Hello!"}]
    assert render(tokenizer, messages("Why?", greeting, "Be clear.")) == "user: Be clear.\n\nWhy?\n"
    assert render(tokenizer, messages("Why?", TURNS[:2], "Be clear.")) == (
        "user: Be clear.\n\nWhat is solar energy?\nassistant: Power from the sun.\nuser: Why?\n"
    )
    with pytest.raises(RlhfError, match=r"the model's chat template refuses a conversation: never$"):
        render(tokenizer, messages("never"))


def test_render_uses_the_models_own_template(llama: Path):
    text = render(load_tokenizer(str(llama)), messages("Why?", "[]", "Be clear."))
    assert text == (
        "<|im_start|>system\nBe clear.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_tokenizer_without_template_gets_a_plain_one(gpt2: Path):
    assert render(load_tokenizer(str(gpt2)), messages("Why?")) == "User:\nWhy?\n\nAssistant:\n"


def test_long_prompts_lose_their_oldest_turns_and_keep_the_query(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    conversation = messages("Why?", TURNS, "Be clear.")
    whole = encode_prompt(tokenizer, conversation, 10_000)
    trimmed = tokenizer.decode(encode_prompt(tokenizer, conversation, len(whole) - 1))
    assert "solar" not in trimmed
    assert "from the sun" not in trimmed  # an answer without its question would mislead
    assert "And wind?" in trimmed
    assert "Be clear." in trimmed
    shortest = len(encode_prompt(tokenizer, messages("Why?"), 10_000))
    assert tokenizer.decode(encode_prompt(tokenizer, conversation, shortest)) == render(tokenizer, messages("Why?"))


def test_a_query_of_thousands_of_tokens_keeps_its_end(llama: Path):
    tokenizer = load_tokenizer(str(llama))
    ids = encode_prompt(tokenizer, messages("blah " * 4_000 + "so what now?", TURNS), 60)
    assert 50 <= len(ids) <= 60
    assert tokenizer.decode(ids).endswith("so what now?<|im_end|>\n<|im_start|>assistant\n")


def test_a_query_of_characters_of_several_tokens_is_shortened_too(llama: Path):
    """Cut inside a character, the rest of it would spell as many tokens as were cut."""
    tokenizer = load_tokenizer(str(llama))
    for limit in range(25, 65):
        ids = encode_prompt(tokenizer, messages("日本 🎉 " * 30), limit)
        assert limit - 8 <= len(ids) <= limit
        assert "\ufffd" not in tokenizer.decode(ids)


def test_a_limit_below_the_frame_is_refused(llama: Path):
    with pytest.raises(RlhfError, match="max_prompt_tokens"):
        encode_prompt(load_tokenizer(str(llama)), messages("Why?"), 3)


def test_pad_is_made_when_there_is_none(gpt2: Path):
    model, tokenizer = load_policy(gpt2, FP32)
    assert tokenizer.pad_token_id == len(tokenizer) - 1 != tokenizer.eos_token_id
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_pad_that_is_the_stop_token_is_replaced_by_the_unused_unknown_token(llama: Path, tmp_path: Path):
    """As SmolLM2 comes: PAD is EOS, and its embedding, as padding row, would get no gradient."""
    model, tokenizer = load_policy(llama, FP32)
    tokenizer.pad_token, tokenizer.unk_token = tokenizer.eos_token, "<|endoftext|>"
    model.config.pad_token_id = tokenizer.eos_token_id
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_policy(tmp_path, FP32)
    assert tokenizer.pad_token == "<|endoftext|>"  # noqa: S105
    assert model.get_input_embeddings().padding_idx == tokenizer.pad_token_id


def test_a_pad_among_the_generation_configs_stops_is_replaced(llama: Path, tmp_path: Path):
    """As Qwen comes: the PAD stands among the stop tokens of the generation config."""
    model, tokenizer = load_policy(llama, FP32)
    save_policy(model, tokenizer, tmp_path)
    GenerationConfig(eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id]).save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert stop_tokens(str(tmp_path), again) == [0, 2]
    assert again.pad_token_id not in (0, 2)


def test_a_folder_without_a_tokenizer_is_one_clear_line(tmp_path: Path):
    with pytest.raises(RlhfError, match="cannot load the tokenizer") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_padding_is_left(llama: Path):
    assert load_tokenizer(str(llama)).padding_side == "left"
    assert AutoTokenizer.from_pretrained(llama).chat_template

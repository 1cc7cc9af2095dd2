"""How a conversation becomes the policy's prompt: the same in SFT, PPO, evaluation and `generate`."""

import json
from collections.abc import Mapping
from itertools import dropwhile, groupby
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from rlhf_assets.errors import RlhfError, first_line
from rlhf_assets.storage.models import resolve_model, why_not_loaded

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:\n{{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)
PAD = "<|pad|>"


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub model: left padding, a PAD of its own and a chat template, plain if it had none.

    PAD is never a stop token: the tokenizer's own if that holds, else its unused unknown token, else a new one (the
    model then needs another embedding row, see `load_policy`). Raises RlhfError when it cannot be loaded.
    """
    folder = resolve_model(str(name))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise RlhfError(f"cannot load the tokenizer of {name}: {why_not_loaded(error)}") from error
    if tokenizer.eos_token_id is None:
        raise RlhfError(f"the tokenizer of {name} has no end-of-text token; a policy could never stop, choose another")
    taken = set(stop_tokens(folder, tokenizer))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        if tokenizer.unk_token_id is None or tokenizer.unk_token_id in {*taken, tokenizer.bos_token_id}:
            tokenizer.add_special_tokens({"pad_token": PAD})
        else:
            tokenizer.pad_token = tokenizer.unk_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def stop_tokens(name: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every id that ends a reply: the tokenizer's end of text and those of the model's generation config."""
    try:
        configured = GenerationConfig.from_pretrained(resolve_model(str(name))).eos_token_id
    except OSError:  # a model without a generation config
        configured = None
    listed = configured if isinstance(configured, list) else [] if configured is None else [configured]
    return sorted({tokenizer.eos_token_id, *listed})


def messages(query: str, context: Any = "[]", system_prompt: Any = None) -> list[dict[str, str]]:
    """The conversation up to the answer: system prompt, earlier turns oldest first, the query.

    context: [{role, content}] or its JSON text; missing values of a data frame (None, NaN) mean none.
    """
    turns = context if isinstance(context, list) else json.loads(context) if isinstance(context, str) else []
    system = [{"role": "system", "content": system_prompt}] if isinstance(system_prompt, str) and system_prompt else []
    earlier = [{"role": turn["role"], "content": turn["content"]} for turn in turns if turn.get("content")]
    return [*system, *earlier, {"role": "user", "content": query}]


def alternating(conversation: list[dict[str, str]]) -> list[dict[str, str]]:
    """Turns of one role in a row, such as a question asked again, as one turn."""
    return [
        {"role": role, "content": "\n\n".join(turn["content"] for turn in turns)}
        for role, turns in groupby(conversation, key=lambda turn: turn["role"])
    ]


def render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]]) -> str:
    """The text that the policy continues with its answer: the conversation as it is, if the template takes it.

    Else turns of one role in a row become one. Where the template takes no system prompts either, they stand before the
    first question; where it wants a question first, an answer that opens the conversation is left out. Raises RlhfError
    when the template refuses even that.
    """
    system = [{**turn, "role": "user"} for turn in conversation if turn["role"] == "system"]
    said = [turn for turn in conversation if turn["role"] != "system"]
    asked = list(dropwhile(lambda turn: turn["role"] != "user", said))
    for plainer in (conversation, alternating(conversation), alternating(system + asked)):
        try:
            return str(tokenizer.apply_chat_template(plainer, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            refusal = error
    raise RlhfError(f"the model's chat template refuses a conversation: {first_line(refusal)}") from refusal


def encode_prompt(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], limit: int) -> list[int]:
    """Token ids of the rendered conversation, at most `limit`.

    A longer one loses its oldest turns first (never starting with an answer), then the system prompt, then the
    beginning of the query. Raises RlhfError when not even the template's frame fits.
    """
    conversation = list(conversation)
    while len(ids := encode(tokenizer, render(tokenizer, conversation))) > limit:
        first = int(conversation[0]["role"] == "system")
        if first < len(conversation) - 1:
            del conversation[first]
            while conversation[first]["role"] == "assistant":
                del conversation[first]
        elif first:
            del conversation[0]
        else:
            conversation = [shorten(tokenizer, conversation[0], len(ids) - limit)]
    return ids


def shorten(tokenizer: PreTrainedTokenizerBase, query: dict[str, str], excess: int) -> dict[str, str]:
    """The query without its first `excess` tokens, or a few more: half a character may spell as long as a whole one."""
    ids = encode(tokenizer, query["content"])
    for cut in range(min(excess, len(ids) - 1), len(ids)):
        text = str(tokenizer.decode(ids[cut:])).lstrip("\ufffd")
        if text and len(encode(tokenizer, text)) < len(ids):
            return {**query, "content": text}
    raise RlhfError(
        "the chat template's frame alone is longer than a prompt may be; raise max_prompt_tokens, or lower "
        "max_new_tokens, since both must fit the model's context"
    )


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of text that already carries its special tokens."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def conversation_of(row: Mapping[Any, Any]) -> list[dict[str, str]]:
    """The conversation of a row with query and, where it has them, context and system_prompt."""
    return messages(row["query"], row.get("context"), row.get("system_prompt"))

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rlhf_assets.policy.answers import decode
from rlhf_assets.policy.chat import load_tokenizer
from rlhf_assets.policy.sampling import Reply
from rlhf_assets.policy.step_rewards import Steps, before, increments, per_reply, place, steps_of


def said(text: str, tokenizer: object) -> Reply:
    """The reply of a policy that says this and stops."""
    tokens = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return Reply(tokens, [0.0] * len(tokens), stopped=True)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1. Ask your utility.\n2. Apply for the rebate!\n3. Hire.", 3),
        ("  First this.\n\nThen that ✓\n\nLast 日本 🎉", 3),  # spaces in front, characters of several tokens
        ("Only one step", 1),
    ],
)
def test_a_step_ends_with_the_token_that_completes_it(
    family: str, text: str, steps: int, request: pytest.FixtureRequest
) -> None:
    tokenizer = load_tokenizer(str(request.getfixturevalue(family)))
    reply = said(text, tokenizer)
    found = steps_of(tokenizer, [reply], [decode(tokenizer, reply)])
    assert len(found.ends) == steps == len(found.texts)
    for end, step in zip(found.ends, found.texts, strict=True):
        assert decode(tokenizer, Reply(reply.tokens[: end + 1], [], False)).endswith(step)
        assert not decode(tokenizer, Reply(reply.tokens[:end], [], False)).endswith(step)
    assert found.ends[-1] == len(reply.tokens) - 2  # the stop token follows, which the outcome has


def test_each_step_is_shown_with_those_before_it(llama: Path) -> None:
    tokenizer = load_tokenizer(str(llama))
    texts = ["1. Ask.\n2. Go.", "", "Wait."]
    found = steps_of(tokenizer, [said(text, tokenizer) for text in texts], texts)
    assert (found.rows, found.texts) == ([0, 0, 2], ["1. Ask.", "2. Go.", "Wait."])
    assert found.before == ["[]", '["1. Ask."]', "[]"]


def test_steps_of_a_reply_earn_their_mean_each_at_its_place() -> None:
    steps = Steps(rows=[0, 0, 2], ends=[1, 3, 0], texts=["a", "b", "c"], before=["[]"] * 3)
    mask = torch.ones((3, 4), dtype=torch.bool)
    placed = place(increments(np.array([1.0, 3.0, -2.0]), steps), steps, mask)
    assert_close(placed, torch.tensor([[0, 1.0, 0, 1.0], [0, 0, 0, 0], [-2.0, 0, 0, 0]]))
    assert_close(before(placed), torch.tensor([[0, 0, 1.0, 1.0], [0, 0, 0, 0], [0, -2.0, -2.0, -2.0]]))
    assert per_reply(np.array([1.0, 3.0, -2.0]), steps, 3).tolist() == [2, 0, -2]
    assert_close(place(np.zeros(0), Steps(), mask), torch.zeros(3, 4))


def test_one_more_step_as_good_as_the_mean_earns_nothing_and_a_worse_one_costs() -> None:
    def to_come(earned: list[float]) -> float:
        """What a reply still earns after its second step, with as many steps as are given."""
        steps = Steps([0] * len(earned), list(range(len(earned))), ["a"] * len(earned), ["[]"] * len(earned))
        return float(increments(np.array(earned), steps)[2:].sum())

    assert to_come([1.0, 3.0]) == 0
    assert to_come([1.0, 3.0, 2.0]) == 0
    assert to_come([1.0, 3.0, 0.5]) == pytest.approx((1 + 3 + 0.5) / 3 - 2)
    assert to_come([-1.0, -3.0, -2.0]) == 0

import pytest
import torch
from torch.testing import assert_close
from transformers import GPT2Config, LlamaConfig, MistralConfig, PretrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from rlhf_assets.policy.growing_cache import ROOM, GrowingLayer, growing_cache


def test_a_layer_holds_what_stocks_holds_and_copies_only_where_room_runs_out_or_rows_leave():
    ours, stock, draws = GrowingLayer(), DynamicLayer(), torch.Generator().manual_seed(0)
    rows, places = 4, []
    for step in range(2 * ROOM):
        if step == ROOM // 2:
            rows, left = 2, torch.tensor([3, 1])
            ours.batch_select_indices(left)
            stock.batch_select_indices(left)
        new = torch.randn((2, rows, 3, 7 if step == 0 else 1, 8), generator=draws)
        for mine, theirs in zip(ours.update(*new), stock.update(*new), strict=True):
            assert_close(mine, theirs, atol=0, rtol=0)
        assert ours.get_seq_length() == stock.get_seq_length()
        places.append(ours.keys.data_ptr())
    moved = [step for step in range(1, len(places)) if places[step] != places[step - 1]]
    assert moved == [ROOM // 2, ROOM + 1]


SIZES = {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 1}


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (LlamaConfig(**SIZES), GrowingLayer),
        (GPT2Config(n_layer=2), GrowingLayer),
        (MistralConfig(**SIZES, sliding_window=4), DynamicSlidingWindowLayer),
    ],
    ids=["llama", "gpt2", "a window of the past"],
)
def test_every_layer_that_keeps_the_whole_past_has_room(config: PretrainedConfig, kind: type):
    assert [type(layer) for layer in growing_cache(config).layers] == [kind, kind]

"""A key-value cache with room for the tokens to come: each is written once, where stock's copies all before it too."""

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens; on a CPU the copies that it spares were a tenth of a whole round of PPO


class GrowingLayer(DynamicLayer):
    """`keys` and `values` are the filled beginnings of tensors (rows, heads, tokens, d) with room behind."""

    key_room: torch.Tensor
    value_room: torch.Tensor

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.key_room, self.value_room = key_states[:, :, :0], value_states[:, :, :0]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        filled = self.get_seq_length()
        whole = filled + key_states.shape[2]
        self.key_room = written(self.key_room, key_states, filled)
        self.value_room = written(self.value_room, value_states, filled)
        self.keys, self.values = self.key_room[:, :, :whole], self.value_room[:, :, :whole]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows alone."""
        if whole := self.get_seq_length():
            self.key_room, self.value_room = self.key_room[indices], self.value_room[indices]
            self.keys, self.values = self.key_room[:, :, :whole], self.value_room[:, :, :whole]


def written(room: torch.Tensor, new: torch.Tensor, at: int) -> torch.Tensor:
    """`new` (rows, heads, tokens, d) in the room from token `at` on, or in a wider one where it does not fit."""
    if (whole := at + new.shape[2]) > room.shape[2]:
        wider = new.new_zeros((*new.shape[:2], whole + ROOM, new.shape[3]))
        wider[:, :, :at] = room[:, :, :at]
        room = wider
    room[:, :, at:whole] = new
    return room


def growing_cache(config: PretrainedConfig) -> DynamicCache:
    """An empty cache for a model of that config; layers that keep a window of the past stay as stock has them."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache

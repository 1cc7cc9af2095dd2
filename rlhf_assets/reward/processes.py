"""Several processes that train one model together; where there is one, nothing of this is felt."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast, gather_object, reduce
from torch import Tensor
from torch.nn import Parameter

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This one is number `rank` of `count`, which all make the same calls in the same order."""

    rank: int
    count: int

    @classmethod
    def here(cls, device: str) -> "Processes":
        """As torchrun or `accelerate launch` has started them; accelerate gives each a GPU of its own."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # leaves accelerate's global state to whoever else needs it
            return cls(0, 1)
        state = PartialState(cpu=device == "cpu")
        return cls(state.process_index, state.num_processes)

    @property
    def main(self) -> bool:
        """Whether it is the one that writes files."""
        return self.rank == 0

    def part(self, texts: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Which of a batch's `texts` (k,) this process takes: about as many as each other one, maybe none.

        unit: (texts in all,) a number of what competes, which stays together and stands side by side in a batch.
        """
        borders = np.r_[0, np.flatnonzero(np.diff(unit[texts])) + 1, len(texts)]
        fair = len(texts) * np.arange(1, self.count) / self.count
        nearest = np.abs(borders[:, None] - fair).argmin(axis=0)
        return np.split(texts, borders[nearest])[self.rank]

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        return values if self.count == 1 else reduce(values, "sum")

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every `count`-th of them: what this process does."""
        return list(items[self.rank :: self.count])

    def gather(self, own: list[Item]) -> list[Item]:
        """What `share` has divided, whole again and in order, in every process."""
        if self.count == 1:
            return own
        parts = [part[::-1] for part in gather_object([own])]
        return [parts[i % self.count].pop() for i in range(sum(map(len, parts)))]

    def of_each(self, items: list[Item], read: Callable[[list[Item]], Tensor]) -> Tensor:
        """What `read` makes of all `items` (n, ...), of which each process reads its share."""
        own = read(self.share(items))
        if self.count == 1:
            return own
        whole = own.new_zeros((len(items), *own.shape[1:]))
        whole[self.rank :: self.count] = own
        return self.total(whole)

    def sum_gradients(self, weights: list[Parameter]) -> None:
        """Give each weight the sum of its gradients: the gradient of the sum of all processes' losses."""
        if self.count == 1:
            return
        own = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        sums = self.total(torch.cat([gradient.flatten() for gradient in own]))
        for weight, gradient in zip(weights, sums.split([weight.numel() for weight in weights]), strict=True):
            weight.grad = gradient.view_as(weight)

    def agree(self, weights: list[Parameter]) -> None:
        """Give all processes the main one's weights."""
        if self.count > 1:
            broadcast([weight.detach() for weight in weights])

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            PartialState().wait_for_everyone()

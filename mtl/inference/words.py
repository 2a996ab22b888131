"""The words that a predictor has met. Letters: U words, D width of their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl.inference import process

MOST_BYTES = 1 << 28
"""The most bytes of a table of words. Words that were not used for the longest time go first."""
_TOGETHER = 4096
"""Words whose products are computed at once."""


class WordTable:
    """The vectors of words, and the products of first layers with them, kept between calls.

    Several threads may use a table. It is empty after a copy, in another process, after a change
    of the weights that torch counts, and after a weight or a part was replaced; a fused optimiser
    and changes through `data` need `clear`.

    Args:
        module: The modules whose weights the rows depend on.
        most_bytes: The most bytes of all rows and words. One call may need more than that for its
            own words; then it has no products.
    """

    def __init__(self, module: nn.Module, most_bytes: int = MOST_BYTES) -> None:
        self._module = module
        self._most_bytes = most_bytes
        self.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._module, self._most_bytes)

    def clear(self) -> None:
        """Forget all words."""
        self._weights: list[Tensor] = [*self._module.parameters(), *self._module.buffers()]
        self._state = self._state_of_weights()
        # The places of parts and weights, because some functions replace them by new ones.
        self._places = [
            (owner, name, part)
            for module in self._module.modules()
            for owner in (module._modules, module._parameters, module._buffers)
            for name, part in owner.items()
        ]
        self._rows = _WordIds()
        self._store: _Store | None = None
        self._call = 0

    def _state_of_weights(self) -> list[tuple[int, int]]:
        # Every change in place increments the version of a tensor.
        return [
            (0 if weight.is_inference() else weight._version, weight.data_ptr())
            for weight in self._weights
        ]

    def _are_replaced(self) -> bool:
        return any(owner.get(name) is not part for owner, name, part in self._places)

    def find(
        self, sentences: Iterable[Sequence[str]], embed: Callable[[Sequence[str]], Tensor]
    ) -> tuple[list[NDArray[np.int64]], WordRows]:
        """Return the row of each word of each sentence, and the rows.

        Args:
            sentences: The words of each sentence.
            embed: Returns the vectors of words that the table does not have yet, `[U, D]`.
        """
        with process.lock():
            if self._state != self._state_of_weights() or self._are_replaced():
                self.clear()
            store = self._store
            if store is not None and self._bytes(store) > self._most_bytes:
                store = self._store = self._shrink(store)
            try:
                row = self._rows.__getitem__
                ids = [np.fromiter(map(row, words), np.int64, len(words)) for words in sentences]
                if store is None:
                    empty = embed(())
                    store = self._store = _Store(
                        empty.new_zeros(1, empty.shape[1]), self._most_bytes
                    )
                if len(self._rows) >= len(store):
                    missing = list(islice(self._rows, len(store) - 1, None))
                    store.append(embed(missing))
            except BaseException:
                # A word must never have the row of another one.
                self.clear()
                raise
            self._call += 1
            for rows in ids:
                store.used[rows] = self._call
            return ids, WordRows(store, self._most_bytes)

    def _bytes(self, store: _Store) -> int:
        return store.row_bytes * len(store) + 4 * self._rows.characters

    def _shrink(self, store: _Store) -> _Store:
        """Return a store of the words used last, with half as many bytes."""
        share = 0.5 * self._most_bytes / self._bytes(store)
        words = list(self._rows)
        last_first = np.argsort(-store.used[1 : len(words) + 1], kind="stable")
        kept = np.sort(last_first[: int(share * len(words))])
        self._rows = _WordIds()
        for index in kept.tolist():
            self._rows[words[index]]
        return store.selected(np.concatenate([[0], kept + 1]))


class WordRows:
    """The rows of a table at the time of a call; see `mtl.layers.lookup.Words`."""

    def __init__(self, store: _Store, most_bytes: int) -> None:
        self._store = store
        self._count = len(store)
        self._most_bytes = most_bytes
        self.vectors = store.vectors

    def products(self, layer: nn.Module, make: Callable[[Tensor], Tensor]) -> Tensor | None:
        """Return the products of a layer, `[U, N]`, or None; see `Words.products`."""
        with process.lock():
            # The words of a call come on top of the ones that the table has kept.
            return self._store.products(layer, make, self._count, self._most_bytes * 3 // 2)

    def prepared(self, layer: nn.Module, make: Callable[[], Any]) -> Any:
        """Return `make()`, computed once per layer."""
        with process.lock():
            if layer not in self._store.constants:
                self._store.constants[layer] = make()
            return self._store.constants[layer]


class _WordIds(dict[str, int]):
    """Word to its row, from 1. A word that is looked up for the first time gets the next row."""

    characters = 0
    """Number of characters of all words."""

    def __missing__(self, word: str) -> int:
        row = self[word] = len(self) + 1
        self.characters += len(word)
        return row


class _Store:
    """The rows of words. Rows are only ever added, so that other threads can read the first ones.

    Args:
        padding: The vector of padding, `[1, D]`.
        most_bytes: The bytes for which memory is reserved.
    """

    def __init__(self, padding: Tensor, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._vectors = _Growing(padding, most_bytes)
        self._products: dict[nn.Module, _Growing] = {}
        self.constants: dict[nn.Module, Any] = {}
        self.used: NDArray[np.int64] = np.zeros(1, np.int64)
        """The last call that used each row."""

    def __len__(self) -> int:
        return self._vectors.count

    @property
    def vectors(self) -> Tensor:
        """The vectors, `[U, D]`."""
        return self._vectors.rows

    @property
    def row_bytes(self) -> int:
        """The number of bytes of a row, products included."""
        tables = [self._vectors, *self._products.values()]
        return sum(table.rows.shape[1] * table.rows.element_size() for table in tables)

    def append(self, vectors: Tensor) -> None:
        """Add the vectors of further words."""
        self._vectors.append(vectors)
        if len(self) > len(self.used):
            self.used = np.concatenate([self.used, np.zeros(len(self), np.int64)])

    def products(
        self, layer: nn.Module, make: Callable[[Tensor], Tensor], count: int, most_bytes: int
    ) -> Tensor | None:
        """Return the products of the first words, unless they take too many bytes."""
        if layer not in self._products:
            self._products[layer] = _Growing(make(self.vectors[:1]), self._most_bytes)
        table = self._products[layer]
        if count * self.row_bytes > most_bytes:
            return None
        while table.count < count:
            end = min(table.count + _TOGETHER, count)
            table.append(make(self.vectors[table.count : end]))
        return table.rows

    def selected(self, rows: NDArray[np.int64]) -> _Store:
        """Return a store of some rows."""
        index = torch.from_numpy(rows).to(self.vectors.device)
        new = _Store(self.vectors[:1], self._most_bytes)
        new._vectors = self._vectors.selected(index)
        for layer, table in self._products.items():
            if table.count == len(self):
                new._products[layer] = table.selected(index)
        new.constants = self.constants
        new.used = self.used[rows]
        return new


class _Growing:
    """A matrix that grows by rows.

    On a CPU, memory is reserved for all rows at once: the system provides it when rows are written,
    and nothing is copied as the matrix grows.

    Args:
        rows: The first rows.
        most_bytes: The bytes to reserve.
    """

    def __init__(self, rows: Tensor, most_bytes: int) -> None:
        self._memory = rows
        self._most_bytes = most_bytes if rows.device.type == "cpu" else 0
        self.count = len(rows)

    @property
    def rows(self) -> Tensor:
        """The rows so far. They never change."""
        return self._memory[: self.count]

    def append(self, rows: Tensor) -> None:
        """Add rows."""
        end = self.count + len(rows)
        if end > len(self._memory):
            width = self._memory.shape[1]
            reserved = self._most_bytes // max(1, width * self._memory.element_size())
            grown = self._memory.new_empty(max(end, reserved, 2 * self.count), width)
            grown[: self.count] = self.rows
            self._memory = grown
        self._memory[self.count : end] = rows
        self.count = end

    def selected(self, index: Tensor) -> _Growing:
        """Return a matrix of some rows."""
        new = _Growing(self._memory[:0], self._most_bytes)
        for first in range(0, len(index), _TOGETHER):  # all at once would take twice the memory
            new.append(self.rows[index[first : first + _TOGETHER]])
        return new

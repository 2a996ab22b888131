"""Reversal of sentences and selection of their last tokens."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.layers.sequence import last_inputs, last_real, reverse_padded

lengths = st.lists(st.integers(0, 5), min_size=1, max_size=4)


def text(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(1, *lengths)
    return torch.randn(len(lengths), width, 2), torch.arange(width) < torch.tensor(
        lengths
    ).unsqueeze(1)


@given(lengths)
def test_real_tokens_are_turned_round_and_padding_stays(lengths: list[int]) -> None:
    x, mask = text(lengths)
    y = reverse_padded(x, mask)
    for row, length in enumerate(lengths):
        assert torch.equal(y[row, :length], x[row, :length].flip(0))
        assert torch.equal(y[row, length:], x[row, length:])


@given(lengths)
def test_turning_round_twice_changes_nothing(lengths: list[int]) -> None:
    x, mask = text(lengths)
    assert torch.equal(reverse_padded(reverse_padded(x, mask), mask), x)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_last_token_is_the_one_before_padding(lengths: list[int]) -> None:
    x, mask = text(lengths)
    expected = [x[row, length - 1] for row, length in enumerate(lengths)]
    assert torch.equal(last_real(x, mask), torch.stack(expected))


@given(lengths, st.integers(1, 3))
def test_the_last_inputs_continue_those_before(lengths: list[int], count: int) -> None:
    x, mask = text(lengths)
    before = torch.randn(len(lengths), count, 2)
    found = last_inputs(x, mask, before)
    for row, length in enumerate(lengths):
        whole = torch.cat([before[row], x[row, :length]])
        assert torch.equal(found[row], whole[-count:])
        alone = last_inputs(x[row : row + 1, :length], None, before[row : row + 1])
        assert torch.equal(found[row], alone[0])

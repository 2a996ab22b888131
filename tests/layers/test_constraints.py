"""Constrained decoding, against all sequences one by one."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.errors import MtlError
from mtl.layers import Constraints
from mtl.text.spans import PREFIXES, SCHEMES, malformed

Rules = list[tuple[str | None, str | None]]
ALL = torch.ones(1, 3, dtype=torch.bool)


def tags(scheme: str, kinds: int = 2) -> list[str]:
    return ["O", *(f"{prefix}-{kind}" for kind in "XY"[:kinds] for prefix in PREFIXES[scheme])]


def breaks(path: list[str], never: Rules) -> bool:
    """Whether a label breaks one of the rules."""
    return not set(pairwise([None, *path, None])).isdisjoint(never)


@given(st.sampled_from(SCHEMES), st.integers(0, 9), st.integers(1, 7), st.data())
def test_no_sequence_that_is_not_allowed_is_ever_given(
    scheme: str, seed: int, length: int, data: st.DataObject
) -> None:
    labels = tags(scheme)
    pairs = st.tuples(*[st.sampled_from([label for label in labels if label != "O"])] * 2)
    never = data.draw(st.lists(pairs, max_size=4))
    scores = 9 * torch.randn(3, length, len(labels), generator=torch.manual_seed(seed))
    allowed = torch.rand(scores.shape, generator=torch.manual_seed(seed)) > 0.5
    allowed[..., 0] = True  # O is, so that there is always a way
    mask = torch.arange(length) < torch.tensor([[length], [1], [0]])
    paths = Constraints(labels, scheme=scheme, never=never)(scores, mask, allowed)
    assert not paths[~mask].any()
    assert allowed.gather(2, paths.unsqueeze(2)).squeeze(2)[mask].all()
    for path, real in zip(paths, mask, strict=True):
        found = [labels[i] for i in path[real]]
        assert not malformed(found, scheme)
        assert not breaks(found, never)


def allowed_paths(labels: list[str], scheme: str, never: Rules, allowed: Tensor) -> list[Tensor]:
    """All label ids of a sentence that the scheme, the rules and `allowed [T, K]` leave."""
    return [
        torch.tensor(path)
        for path in product(range(len(labels)), repeat=len(allowed))
        if not malformed([labels[i] for i in path], scheme)
        and not breaks([labels[i] for i in path], never)
        and all(allowed[t, i] for t, i in enumerate(path))
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("never", [[], [("B-X", "O"), (None, "B-X"), ("B-X", None)]])
def test_what_is_given_is_the_best_that_is_allowed(scheme: str, never: Rules) -> None:
    labels = tags(scheme, kinds=1)
    allowed = torch.ones(3, len(labels), dtype=torch.bool)
    allowed[1, labels.index(f"{PREFIXES[scheme][1]}-X")] = False
    paths = torch.stack(allowed_paths(labels, scheme, never, allowed))  # [N, T]
    for _ in range(20):
        scores = torch.randn(1, 3, len(labels)).double()
        totals = scores[0].gather(1, paths.T).sum(0)
        found = Constraints(labels, scheme=scheme, never=never)(scores, ALL, allowed.unsqueeze(0))
        assert torch.equal(found[0], paths[totals.argmax()])


def test_without_rules_each_token_has_its_best_label() -> None:
    scores = torch.randn(1, 3, 4)
    assert torch.equal(Constraints(list("abcd"))(scores, ALL), scores.argmax(2))


def test_a_label_may_be_required_of_a_token() -> None:
    allowed = torch.ones(1, 3, 3, dtype=torch.bool)
    allowed[0, 1] = torch.tensor([False, False, True])
    found = Constraints(["O", "B-X", "I-X"], scheme="bio")(torch.zeros(1, 3, 3), ALL, allowed)
    assert found[0, :2].tolist() == [1, 2]


def test_what_cannot_be_labelled_is_told() -> None:
    allowed = torch.ones(2, 3, 3, dtype=torch.bool)
    allowed[1, :, 1] = False  # no B-X, …
    allowed[1, 2, 0] = False  # … and an I-X in the end
    mask = ALL.expand(2, 3)
    with pytest.raises(ValueError, match=r"sentences \[1\] of the batch have no allowed label"):
        Constraints(["O", "B-X", "I-X"], scheme="bio")(torch.zeros(2, 3, 3), mask, allowed)


def test_nan_scores_are_not_mistaken_for_rules() -> None:
    scores, constraints = torch.zeros(3, 2, 2), Constraints(["A", "B"], never=[("A", "A")])
    mask = torch.tensor([[True, True], [True, True], [True, False]])
    scores[2, 1] = torch.nan  # on padding
    constraints(scores, mask)
    scores[1] = torch.nan
    with pytest.raises(ValueError, match=r"scores: expected numbers, got NaN in sentences \[1\]"):
        constraints(scores, mask)


@given(st.lists(st.tuples(*[st.sampled_from(["A", "B", "C", None])] * 2), max_size=12))
def test_contradictory_rules_are_reported_with_the_length(never: Rules) -> None:
    paths = {n: [*product("ABC", repeat=n)] for n in range(1, 5)}
    empty = [n for n, own in paths.items() if all(breaks([*path], never) for path in own)]
    if not empty:
        Constraints(list("ABC"), never=never)
        return
    told = f"never: the rules allow no sequence of length {empty[0]}; remove some"
    with pytest.raises(ValueError, match=told):
        Constraints(list("ABC"), never=never)


def test_tags_of_which_no_sequence_is_well_formed_are_told() -> None:
    with pytest.raises(
        ValueError, match="under the scheme iobes they allow no sequence of length 1; add"
    ):
        Constraints(["B-X", "E-X"], scheme="iobes")


def test_rules_name_labels_that_there_are() -> None:
    with pytest.raises(ValueError, match="never: unknown label 'B-PRE'; did you mean 'B-PER'"):
        Constraints(["O", "B-PER"], never=[("O", "B-PRE")])


def test_labels_of_another_scheme_are_an_error() -> None:
    with pytest.raises(MtlError, match="'S-X' is not a tag of the scheme bio"):
        Constraints(["O", "S-X"], scheme="bio")

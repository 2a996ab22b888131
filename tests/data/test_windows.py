"""Overlapping windows of long documents."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.windows import Window, windows

quick = settings(max_examples=100, deadline=None)


@st.composite
def cuts(draw):
    """A length, a limit and an overlap below it."""
    limit = draw(st.integers(1, 12))
    return draw(st.integers(0, 60)), limit, draw(st.integers(0, limit - 1))


@quick
@given(cuts())
def test_the_kept_parts_are_the_whole_document_each_token_once(cut):
    kept = [token for w in windows(*cut) for token in range(w.keep_start, w.keep_end)]
    assert kept == list(range(cut[0]))


@quick
@given(cuts())
def test_windows_lie_in_the_document_and_below_the_limit(cut):
    length, limit, _ = cut
    for window in windows(*cut):
        assert 0 <= window.start <= window.keep_start <= window.keep_end <= window.end <= length
        assert window.end - window.start <= limit


@quick
@given(cuts())
def test_every_kept_token_has_half_the_overlap_as_context_on_either_side(cut):
    length, _, overlap = cut
    for window in windows(*cut):
        before, after = window.keep_start - window.start, window.end - window.keep_end
        assert before >= overlap // 2 or window.start == 0
        assert after >= overlap // 2 or window.end == length


@quick
@given(cuts())
def test_neighbours_share_the_overlap_and_every_window_keeps_something(cut):
    length, _, overlap = cut
    found = windows(*cut)
    assert all(one.end - other.start >= overlap for one, other in pairwise(found))
    assert not length or all(w.keep_end > w.keep_start for w in found)


@quick
@given(cuts())
def test_no_fewer_windows_would_do(cut):
    length, limit, overlap = cut
    fewer = len(windows(*cut)) - 1
    assert fewer == 0 or fewer * limit - (fewer - 1) * overlap < length


def test_a_short_document_is_one_window():
    assert windows(7, 7, 3) == [Window(0, 7, 0, 7)]


def test_windows_are_spread_evenly():
    assert [w.start for w in windows(21, limit=10, overlap=4)] == [0, 5, 11]


@pytest.mark.parametrize(("limit", "overlap"), [(5, 5), (5, -1), (0, 0)])
def test_an_overlap_that_cannot_be_is_an_error(limit, overlap):
    with pytest.raises(ValueError, match="expected 0 <= overlap < limit"):
        windows(10, limit, overlap)


def test_kept_tokens_are_counted_in_the_document_and_in_the_window() -> None:
    document = list(range(10))
    found = windows(10, limit=6, overlap=2)
    for window in found:
        assert document[window.start : window.end][window.kept_inside] == document[window.kept]
    assert [document[window.kept] for window in found] == [document[:5], document[5:]]

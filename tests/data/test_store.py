"""Rows of a stored corpus."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mtl.data.store import SentenceTable

SIZES = st.lists(st.integers(0, 5), max_size=5)


@given(SIZES, st.data())
def test_rows_come_in_the_order_asked_for(sizes: list[int], data: st.DataObject) -> None:
    numbers = list(range(sum(sizes)))
    ends = np.cumsum(sizes)
    cut = [numbers[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    schema = pa.schema({"tokens": pa.list_(pa.string()), "line": pa.int64()})
    batches = [
        pa.record_batch({"tokens": [[f"w{n}"] * (n % 3) for n in part], "line": part}, schema)
        for part in cut
    ]
    table = SentenceTable(pa.Table.from_batches(batches, schema))
    rows = data.draw(st.lists(st.sampled_from(numbers)) if numbers else st.just([]))
    assert len(table) == len(numbers)
    found = table.fetch(np.array(rows, dtype=np.intp), ["line", "tokens"])
    assert found == {"line": rows, "tokens": [[f"w{n}"] * (n % 3) for n in rows]}

"""Requests that are wrong at random; benchmarks/serve.py sends more of them than the tests do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
_names = st.sampled_from(
    [
        "texts",
        "text",
        "tokens",
        "text_b",
        "tokens_b",
        "tasks",
        "confidence",
        "attention",
        "abstain",
        "unit",
    ]
)

wrong_fields = st.dictionaries(_names | st.text(max_size=5), _values, max_size=4)
"""Objects with fields of any name and any value."""
wrong_bodies = st.one_of(
    wrong_fields.map(lambda fields: json.dumps(fields).encode()),
    _values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"texts": ' * 500,
            b'{"text": "a"',
            b'{"text": "\\ud800"}',
            b'{"texts": [["\\udfff"]]}',
            b'{"text": "a", "abstain": NaN}',
            b'{"text": "a", "abstain": 1e999}',
            b'{"text": "a", "abstain": ' + b"1" * 5000 + b"}",
            b'{"text": "a", "unit": "word"}',
            b'\xef\xbb\xbf{"text": "a"}',
            '{"text": "a"}'.encode("utf-16"),
            b'{"text": "a\x00b"}',
        ]
    ),
)
"""Bodies that are, with few exceptions, no request for predictions."""

_types = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=latin-1",
        "application/jsonl",
        "application/x-www-form-urlencoded",
        "text/plain",
        ";",
        "",
    ]
)
wrong_heads = st.fixed_dictionaries(
    {"method": st.sampled_from(["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])},
    optional={
        "path": st.sampled_from(
            ["/predict", "/predict/", "/", "/metrics", "/%00", "/predict?x=1", "//"]
        ),
        "type": _types,
        "encoding": st.sampled_from(["gzip", "identity", "br", "x"]),
    },
)
"""Methods, paths and headers, right and wrong ones."""

_EDITS: Mapping[str, Callable[[random.Random, bytearray], Any]] = {
    "remove": lambda rng, data: data.pop(rng.randrange(len(data))),
    "replace": lambda rng, data: data.__setitem__(rng.randrange(len(data)), rng.randrange(256)),
    "insert": lambda rng, data: data.insert(rng.randrange(len(data)), rng.randrange(256)),
    "cut": lambda rng, data: data.__delitem__(slice(rng.randrange(1, len(data)), None)),
}


def damaged(rng: random.Random, request: bytes) -> bytes:
    """Return the bytes of a request with some of them changed."""
    data = bytearray(request)
    for _ in range(rng.randint(1, 4)):
        if len(data) > 1:
            _EDITS[rng.choice(sorted(_EDITS))](rng, data)
    return bytes(data)

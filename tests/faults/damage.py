"""Random damage of texts, files and trees of values."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any

PIECES = [
    *(b"\n", b"\r", b"\r\n", b"\t", b" ", b"\0", b"#", b"# ", b'"', b",", b"_", b"O", b"=", b"-1"),
    *(b"\xff", "\u2028".encode(), "\u00a0".encode(), b"\xef\xbb\xbf", b"\\ud83d", b"[", b"]", b"{"),
    *(b"null", b"1e999", b"NaN", b"9" * 5000, b"[" * 3000, b"__label__x ", b"-DOCSTART-", b":"),
]


def change(content: bytes, rng: random.Random) -> bytes:
    """Return the content after one to three changes at random places."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.randint(0, 12))
        other = rng.randrange(len(content) + 1)
        content = rng.choice(
            [
                content[:start] + rng.choice(PIECES) + content[start:],
                content[:start] + rng.choice(PIECES) + content[start + 1 :],
                content[:start] + content[end:],
                content[:other] + content[start:end] + content[other:],
                content[:start],
                content.replace(rng.choice(PIECES[:10]), rng.choice(PIECES[:10])),
            ]
        )
    return content


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the content of a file with one damage of a kind that disks and programs cause."""
    place = rng.randrange(len(data))
    end = min(len(data), place + rng.choice([1, 1, 4, 64, 5000]))
    kind = rng.randrange(6)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if kind == 2:
        return data[:place] + rng.randbytes(end - place) + data[end:]
    if kind == 3:
        return data[:place] + bytes(end - place) + data[end:]
    if kind == 4:
        return data[:place] + data[end:]
    return data[:end] + data[place:]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a tree of lists and dictionaries."""
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = list(enumerate(tree))[:5]
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(tree: Any, values: Sequence[Any], keys: Sequence[str], rng: random.Random) -> Any:
    """Return a tree after the replacement, removal or addition of one value.

    Args:
        tree: Lists and dictionaries; it stays as it is.
        values: The values to draw from.
        keys: The keys to draw from.
        rng: The source of random numbers.
    """
    tree = copy.deepcopy(tree)
    *above, last = rng.choice(list(places(tree)))
    inner = tree
    for key in above:
        inner = inner[key]
    kind = rng.randrange(8)
    if kind == 0:
        del inner[last]
    elif kind == 1 and isinstance(inner, dict):
        inner[rng.choice(keys)] = rng.choice(values)
    else:
        inner[last] = rng.choice(values)
    return tree

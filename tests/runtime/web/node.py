"""The runtime for browsers, run by Node.js, to compare it with the runtime for Python."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("driver.mjs")


class JavaScriptError(Exception):
    """An error that JavaScript code has thrown."""


class Node:
    """A process of Node.js that answers requests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def ask(self, do: str, **request: Any) -> Any:
        """Return the answer to a request.

        Raises:
            JavaScriptError: The request ended with an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise JavaScriptError(f"{answer['error']}: {answer['message']}")
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def in_units(text: str, offset: int) -> int:
    """Return a position in UTF-16 units, as JavaScript counts, of a position in characters."""
    return len(text[:offset].encode("utf-16-le")) // 2


def in_javascript(record: Mapping[str, Any], whole: str | None = None) -> dict[str, Any]:
    """Return the record of a prediction with offsets as JavaScript counts.

    Args:
        record: The record.
        whole: The whole input, if the text of the record is a part of it.
    """
    found = dict(record)
    text = whole or record.get("text") or ""
    if "offsets" in found:
        found["offsets"] = [[in_units(text, at) for at in pair] for pair in found["offsets"]]
    if "spans" in found:
        found["spans"] = {
            task: [
                {k: in_units(text, v) if k in ("start", "end") else v for k, v in span.items()}
                for span in spans
            ]
            for task, spans in found["spans"].items()
        }
    return found


def close(found: Any, expected: Any, atol: float = 1e-5) -> bool:
    """Return whether two JSON values are the same, numbers up to rounding."""
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(
            close(found[key], value, atol) for key, value in expected.items()
        )
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        return len(found) == len(expected) and all(
            close(one, other, atol) for one, other in zip(found, expected, strict=True)
        )
    if isinstance(expected, float):
        return isinstance(found, (int, float)) and abs(found - expected) <= atol * max(
            1, abs(expected)
        )
    return bool(found == expected)

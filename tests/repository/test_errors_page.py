"""The messages in docs/errors.md are messages of the library."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([^`]+)` \| .+ \| .+ \|$", re.MULTILINE)
MESSAGES = ROW.findall((ROOT / "docs" / "errors.md").read_text(encoding="utf-8"))


def constant(part: ast.expr) -> str:
    """Return a constant part of an f-string; `…` for a value."""
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"


def strings(source: str) -> list[str]:
    """Return the strings of a module, with `…` in the place of each formatted value."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(map(constant, node.values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@cache
def messages() -> str:
    """Return all strings of the library, one per line."""
    modules = (path.read_text(encoding="utf-8") for path in (ROOT / "mtl").rglob("*.py"))
    return "\n".join(" ".join(text.split()) for module in modules for text in strings(module))


def test_the_page_has_the_usual_errors() -> None:
    assert len(MESSAGES) >= 40
    assert len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_library_has_the_message(message: str) -> None:
    pieces = [re.escape(piece) for piece in message.split("…") if piece.strip()]
    assert re.search("[^\n]*".join(pieces), messages()), message


def test_a_message_that_does_not_exist_is_found() -> None:
    assert strings('f"no {1} here"; "plain"') == ["no … here", "plain", "no ", " here"]
    assert "unknown kee" not in messages()

"""Write docs/reference.md, the page of all keys of a run file."""

from __future__ import annotations

from pathlib import Path

from mtl.config.reference import Key, reference
from mtl.experiment import KINDS

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
_TITLE = """\
# Reference of all keys

This page lists every key of a run file. `mtl explain KEY` prints the same in a terminal, and
`mtl schema` prints a JSON Schema for editors. A key without a default must be given. Words in
capitals stand for your own names. The column *of* lists the types that have the option.

`python scripts/reference_page.py` generates this page.
"""


def page() -> str:
    """Return the text of the page."""
    lines = [_TITLE]
    sections: dict[str, list[Key]] = {}
    for key in reference(KINDS):
        sections.setdefault(key.path.partition(".")[0], []).append(key)
    plain = [key for keys in sections.values() if len(keys) == 1 for key in keys]
    lines += ["## Seeds", *_table(plain)]
    for name, keys in sections.items():
        if len(keys) > 1:
            lines += [f"## {name}", *_table(keys)]
    return "\n".join(lines)


def _table(keys: list[Key]) -> list[str]:
    rows = ["", "| key | of | values | default | meaning |", "|---|---|---|---|---|"]
    for key in keys:
        default = f"`{key.default}`" if key.default else ""
        cells = [f"`{key.path}`", ", ".join(key.parts), key.values, default, key.help]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

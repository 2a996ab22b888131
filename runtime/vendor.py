"""Copies the modules of mtl that need no torch into `mtl_runtime/_mtl`.

`mtl_runtime` reads text, cuts it and shows predictions with the code of mtl. A build runs this
script; in a checkout, run it before the first import: python runtime/vendor.py
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "mtl_runtime" / "_mtl"
"""The folder of the copies, which git ignores."""
PACKAGE = "mtl_runtime._mtl"

MODULES = (
    "cli/formats.py",
    "cli/inputs.py",
    "data/batching.py",
    "data/windows.py",
    "errors.py",
    "files.py",
    "inference/abstention.py",
    "inference/confidence.py",
    "inference/cutting.py",
    "inference/inputs.py",
    "inference/prediction.py",
    "inference/process.py",
    "inference/task_prediction.py",
    "inference/token_merging.py",
    "text/example.py",
    "text/running.py",
    "text/spans.py",
    "text/tokenizer.py",
    "text/vocabulary/affixes.py",
    "text/vocabulary/base.py",
    "text/vocabulary/characters.py",
    "text/vocabulary/ngrams.py",
    "text/vocabulary/words.py",
)
"""The modules that are copied, below the package mtl."""

REPLACED: Mapping[str, str] = {
    "options.py": '"""Types of options, for annotations alone."""\n\n'
    "PositiveInt = NonNegativeInt = int\n",
    "cli/table_input.py": '"""Rows of tables, which are not read here."""\n\n\n'
    'class Row(dict[str, str]):\n    """A row of a table."""\n\n    cells: list[str]\n',
}
"""Module to the text of a short replacement, where the copies need little of it."""


def copies(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path of each copy, below `FOLDER`, and its text.

    Args:
        source: The folder of the package mtl.

    Raises:
        ValueError: A module imports a module of mtl that is not copied.
    """
    written = {*MODULES, *REPLACED}
    for name in sorted(written):
        text = REPLACED.get(name)
        if text is None:
            text = _rewritten((source / name).read_text(encoding="utf-8"), name, written)
        yield Path(name), text
    parents = {parent for name in written for parent in Path(name).parents}
    for folder in sorted(parents):
        yield folder / "__init__.py", ""


def _rewritten(text: str, name: str, written: set[str]) -> str:
    # Imports for types alone, which are indented, may name modules that are not copied.
    for module in re.findall(r"^(?:from|import) mtl\.?([\w.]*)", text, re.MULTILINE):
        path = module.replace(".", "/")
        if f"{path}.py" not in written and not any(own.startswith(f"{path}/") for own in written):
            raise ValueError(f"{name} imports mtl.{module}, which is not copied; see {__file__}")
    imports = re.compile(r"^( *)from mtl(\.[\w.]+)? import", re.MULTILINE)
    text = imports.sub(rf"\1from {PACKAGE}\2 import", text)
    # The runtime does without this package: Python 3.11 has the same names.
    return text.replace("from typing_extensions import", "from typing import")


def vendor(source: Path, folder: Path = FOLDER) -> None:
    """Write the copies that differ from those on the disk, and remove all other modules.

    Args:
        source: The folder of the package mtl.
        folder: The folder of the copies.
    """
    kept = set()
    for name, text in copies(source):
        path = folder / name
        kept.add(path)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Other processes may import the copies while they are written.
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
    for path in folder.rglob("*.py"):
        if path not in kept:
            path.unlink()


if __name__ == "__main__":
    vendor(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "mtl")

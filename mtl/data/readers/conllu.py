"""CoNLL-U, the format of Universal Dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.blocks import blocks, excerpt
from mtl.errors import DataError
from mtl.files import open_text

_COLUMNS = {"lemma": 2, "upos": 3, "xpos": 4, "feats": 5, "deprel": 7, "misc": 9}


class Conllu(Reader):
    """CoNLL-U (de Marneffe et al. 2021): ten columns, tab-separated.

    The tokens are the words with whole ids. Ranges (`8-9`, the written form of two words) and
    empty nodes (`8.1`) are skipped. Columns: `lemma`, `upos`, `xpos`, `feats`, `deprel`, `misc`.
    Metadata: every comment of the form `# key = value`, such as `sent_id`.
    """

    reads_sentences = True
    version = 1

    def read(self, path: Path) -> Iterator[Record]:
        """Yield the sentences."""
        with open_text(path) as file:
            yield from self.parse(file, path)

    def parse(self, text: Iterable[str], path: str | Path) -> Iterator[Record]:
        """Yield the sentences of the lines of `path`, which error messages name."""
        lines = enumerate(text, 1)
        for block in blocks(lines, _split, lambda line, _: line.startswith("#")):
            # Ranges and empty nodes have ids such as 8-9 and 8.1, and no labels of their own.
            rows = [row for number, row in block.rows if _is_word(path, number, row)]
            columns = {name: [row[k] for row in rows] for name, k in _COLUMNS.items()}
            tokens = [row[1] for row in rows]
            yield Record(tokens, columns, block.metadata, block.rows[0][0])


def _split(text: str) -> list[str]:
    return text.split("\t")


def _is_word(path: str | Path, line: int, row: list[str]) -> bool:
    if len(row) != 10:
        message = f"expected 10 tab-separated columns, found {len(row)}: {excerpt(row)}"
        raise DataError(f"{message}; for other column files use `type: conll`", path, line)
    if row[0].isdecimal():
        return True
    if not row[0].replace("-", "").replace(".", "").isdecimal():
        message = f"expected a word id such as 7, 7-8 or 7.1 in column 1, found {row[0]!r}"
        raise DataError(message, path, line)
    return False

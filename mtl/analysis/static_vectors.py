"""Static word vectors out of a pretrained transformer.

Letters: N words, B words of a batch, H width of the transformer, D width of the vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl.embeddings import TransformerEmbedding
from mtl.errors import DataError, MtlError
from mtl.layers.subwords import lay_out, to_words
from mtl.registry import OnImport
from mtl.runs.checkpoint import RUN, seed_folders, to_device
from mtl.runs.checksums import tensors_checksum
from mtl.text.transformers_hub import read_sizes, read_weights
from mtl.text.vocabulary import TransformerVocabulary
from mtl.text.vocabulary.base import SPECIAL
from mtl.trained_model import load
from mtl.trunks import TransformerTrunk, Trunk

_TOGETHER = 1 << 12
"""The most subwords of a batch, padding included."""
_CHUNK = 1 << 14
"""Rows that are converted to float64 at once."""


@dataclass(frozen=True)
class StaticVectors:
    """Words and their vectors.

    Args:
        words: The words, the most frequent first.
        matrix: `[N, D]`, one vector per word, float32.
        variance: Share of the variance of the transformer's vectors that the components keep.
    """

    words: list[str]
    matrix: NDArray[np.float32]
    variance: float


def static_vectors(
    teacher: str | Path,
    words: Mapping[str, int] | Sequence[str],
    *,
    dim: int = 200,
    sif: float = 1e-4,
    min_count: int = 1,
    partial: Path | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
    device: str | None = None,
    on_import: OnImport | None = None,
) -> StaticVectors:
    """Return static vectors of words, computed by a transformer.

    As in Model2Vec (Tulkens & van Dongen 2024), each word goes through the transformer alone. Its
    vector h is the mean over its subwords of the last layer. The mean of all words is subtracted,
    and the first D principal components are kept. The result is multiplied by a / (a + p), where p
    is the probability of the word (smooth inverse frequency, Arora et al. 2017). p is the share of
    the word in all counted words. For words without counts, Zipf's law is assumed: p of the word of
    rank r = 1, 2, … is proportional to 1 / (r + 1).

    Words that the tokenizer of the transformer cuts like their lower-case form are merged with it:
    an uncased transformer gives vectors of lower-case words alone. The sign of each component is
    such that its largest weight is positive.

    Args:
        teacher: The transformer: the folder of a model in the format of `transformers`, its name on
            the Hugging Face hub, or the folder of a run that has such a model as its trunk.
        words: The number of occurrences of each word, or words without counts, the most frequent
            first.
        dim: Width D of the vectors.
        sif: The constant a; 0 leaves the vectors unweighted.
        min_count: Words with a lower count get no vector.
        partial: A file for the vectors h that are computed. If it has vectors from an interrupted
            call with the same arguments, these are not computed again. The caller removes it.
        progress: Called after each batch with the number of words done and of all words.
        device: "cpu", "cuda", …; None: a GPU if there is one.
        on_import: Allows the import of parts outside mtl of a run folder; see `Registry.find`.

    Raises:
        MtlError: The transformer cannot be read; or the words are fewer than D + 1, or D exceeds
            its width.
    """
    encoder = _Encoder.read(teacher, to_device(device or "auto"), on_import)
    counts = words if isinstance(words, Mapping) else dict.fromkeys(words, min_count)
    codes, merged = encoder.merge(counts)
    names = [word for word, count in merged.items() if count >= min_count]
    if isinstance(words, Mapping):
        names.sort(key=lambda word: (-merged[word], word))
    if not 1 <= dim <= encoder.width:
        raise MtlError(f"dim: {teacher} has vectors of width {encoder.width}, got {dim}")
    if len(names) <= dim:
        raise MtlError(
            f"expected more than dim = {dim} words, got {len(names):,}; pass more text or words"
        )
    hidden = encoder.vectors([codes[word] for word in names], partial, progress)
    matrix, variance = principal_components(hidden, dim)
    if sif:
        if isinstance(words, Mapping):
            shares = np.array([merged[word] for word in names]) / sum(merged.values())
        else:
            shares = 1 / np.arange(2, len(names) + 2)
            shares /= shares.sum()
        matrix *= (sif / (sif + shares))[:, None].astype(np.float32)
    return StaticVectors(names, matrix, variance)


def principal_components(rows: NDArray[np.float32], dim: int) -> tuple[NDArray[np.float32], float]:
    """Project centred rows `[N, H]` on their first principal components (Pearson 1901).

    Args:
        rows: The rows.
        dim: The number of components D.

    Returns:
        `[N, D]`, and the share of the variance that the components keep.
    """
    # In chunks of float64: exact sums, without a copy of all rows.
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    mean = sum(chunk.sum(0, dtype=np.float64) for chunk in chunks) / len(rows)
    centred = (chunk - mean for chunk in chunks)
    covariance = sum((chunk.T @ chunk for chunk in centred), np.zeros((rows.shape[1],) * 2))
    values, vectors = np.linalg.eigh(covariance)
    components = vectors[:, ::-1][:, :dim]
    largest = np.abs(components).argmax(0)
    components = components * np.sign(components[largest, np.arange(dim)])
    projected = [((chunk - mean) @ components).astype(np.float32) for chunk in chunks]
    kept = float(values[::-1][:dim].sum() / max(values.sum(), np.finfo(np.float64).tiny))
    return np.concatenate(projected), kept


@dataclass(frozen=True)
class _Encoder:
    """A transformer that encodes single words.

    Args:
        vocabulary: Its subwords.
        embedding: The embedding of its subwords.
        trunk: Its layers.
    """

    vocabulary: TransformerVocabulary
    embedding: TransformerEmbedding
    trunk: Trunk

    @classmethod
    def read(
        cls, teacher: str | Path, device: torch.device, on_import: OnImport | None
    ) -> _Encoder:
        """Read a transformer; see `static_vectors`."""
        folder = Path(teacher)
        if (folder / RUN).is_file() or seed_folders(folder):
            encoder = cls._of_run(folder, on_import)
        else:
            encoder = cls._pretrained(str(teacher))
        encoder.embedding.to(device).eval()
        encoder.trunk.to(device).eval()
        return encoder

    @classmethod
    def _of_run(cls, folder: Path, on_import: OnImport | None) -> _Encoder:
        experiment = load(folder, device="cpu", trust=on_import is not None).experiment
        vocabulary = experiment.vocabularies.get(TransformerVocabulary.feature)
        embedding = experiment.model.embedding
        trunks = [part for part in experiment.model.sharing.modules() if isinstance(part, Trunk)]
        if (
            not isinstance(embedding, TransformerEmbedding)
            or not isinstance(vocabulary, TransformerVocabulary)
            or len(trunks) != 1
        ):
            raise MtlError(
                f"{folder}: expected a run with one pretrained transformer that all tasks share; "
                "name such a run, or a folder in the format of transformers"
            )
        return cls(vocabulary, embedding, trunks[0])

    @classmethod
    def _pretrained(cls, name: str) -> _Encoder:
        sizes = read_sizes(name)
        vocabulary = TransformerVocabulary.build({}, name=name)
        options = TransformerTrunk.subword_embedding({**sizes, "align": "mean"})
        embedding = TransformerEmbedding(vocabulary, **options)
        trunk = TransformerTrunk(embedding.size, **sizes)
        vectors, tensors = read_weights(name)
        embedding.load_vectors(vectors)
        trunk.load_pretrained(tensors)
        return cls(vocabulary, embedding, trunk)

    @property
    def width(self) -> int:
        """The width H of the last layer."""
        return self.trunk.sizes[-1]

    def merge(self, counts: Mapping[str, int]) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
        """Return the subwords and the count of each word; see `static_vectors`."""
        codes: dict[str, tuple[int, ...]] = {}
        merged: dict[str, int] = {}
        for word, count in counts.items():
            code, lower = tuple(self.vocabulary.encode(word)), word.lower()
            if word != lower and tuple(self.vocabulary.encode(lower)) == code:
                word = lower
            codes[word] = code
            merged[word] = merged.get(word, 0) + count
        return codes, merged

    def vectors(
        self,
        codes: Sequence[tuple[int, ...]],
        partial: Path | None,
        progress: Callable[[int, int], object],
    ) -> NDArray[np.float32]:
        """Return the vectors h of words `[N, H]`, given the subwords of each."""
        # Words of one length together: padding would cost time.
        order = np.array(sorted(range(len(codes)), key=lambda n: (len(codes[n]), codes[n])))
        lengths = [len(codes[n]) for n in order]
        ends = [*self._ends(lengths)]
        found = np.empty((len(codes), self.width), dtype=np.float32)
        with ExitStack() as stack:
            file, done = None, 0
            if partial:
                file = stack.enter_context(open(partial, "a+b"))
                done = self._resume(file, codes, ends, found)
            for start, end in pairwise([done, *(end for end in ends if end > done)]):
                rows = self._encode([codes[n] for n in order[start:end]]).cpu().numpy()
                found[start:end] = rows
                if file:
                    file.write(rows.tobytes())
                progress(end, len(codes))
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def _ends(self, lengths: Sequence[int]) -> Iterator[int]:
        """Yield the end of each batch of words, which are sorted by their number of subwords."""
        special = sum(map(len, self.embedding.marks))
        start = 0
        for end in range(1, len(lengths) + 1):
            # The next word would be the longest one.
            full = end < len(lengths) and (end + 1 - start) * (lengths[end] + special) > _TOGETHER
            if full or end == len(lengths):
                yield end
                start = end

    def _resume(
        self,
        file: IO[bytes],
        codes: Sequence[tuple[int, ...]],
        ends: Sequence[int],
        found: NDArray[np.float32],
    ) -> int:
        """Copy the rows of whole batches of a file into `found`, and return their number."""
        named = {name: value.cpu() for name, value in self.trunk.state_dict().items()}
        # No tokenizer has the special strings of mtl, whose vectors are random.
        named["table"] = self.embedding.table.weight.detach()[len(SPECIAL) :].cpu()
        key = hashlib.sha256(f"1 {tensors_checksum(named)} {codes}".encode()).digest()
        row = 4 * self.width
        file.seek(0)
        done = 0
        if file.read(len(key)) == key:
            rest = file.read()
            done = max((end for end in ends if end <= len(rest) // row), default=0)
            rows = np.frombuffer(rest[: done * row], dtype=np.float32)
            found[:done] = rows.reshape(done, self.width)
            file.truncate(len(key) + done * row)
        else:
            file.truncate(0)
            file.write(key)
        file.seek(0, 2)
        return done

    @torch.no_grad()
    def _encode(self, codes: Sequence[tuple[int, ...]]) -> Tensor:
        """Return the vectors h of words, `[B, H]`."""
        device = self.embedding.table.weight.device
        subwords = torch.zeros(len(codes), 1, max(map(len, codes)), dtype=torch.long)
        for row, code in enumerate(codes):
            subwords[row, 0, : len(code)] = torch.tensor(code)
        layout = lay_out(subwords.to(device), *self.embedding.marks, self.embedding.limit)
        layers, _ = self.trunk(self.embedding.table(layout.numbers), layout.mask)
        return to_words(layers[-1], layout.words, 1, "mean").squeeze(1)


def read_word_list(path: Path) -> list[str]:
    """Return the words of a text file, one per line, in order and without duplicates.

    Raises:
        DataError: The file cannot be read, or has no words.
    """
    from mtl.files import open_text

    with open_text(path) as file:
        words = dict.fromkeys(line.strip() for line in file)
    words.pop("", None)
    if not words:
        raise DataError("expected words, one per line, found none", path)
    return [*words]

"""One contestant of use.py in a process of its own: reads requests as JSON lines, and answers.

It may run in another Python, which then needs the packages of its contestant alone.
"""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

Sentences = Sequence[Sequence[str]]
Predict = Callable[[Sentences, Sequence[str]], dict[str, list[Any]]]
"""Returns task to the labels of each sentence."""
SEED = 1


class Contestant(ABC):
    """A loaded model.

    Args:
        spec: Its kind, the path of its file or folder, its tasks and options.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.path = Path(spec.get("path", "."))
        self.tasks: list[str] = spec["tasks"]

    @abstractmethod
    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""

    def table_bytes(self) -> int:
        """Return the bytes of the table of words."""
        return 0


class Mtl(Contestant):
    """A model of mtl. With the option `products`, its first layer multiplies every token."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import mtl

        if spec.get("products"):
            from mtl.trunks import directional

            directional.lookup_of = lambda x: None
        self.model = mtl.load(self.path, device="cpu")

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        return self.model.predict(sentences, tasks)

    def probabilities(self, sentences: Sentences, task: str) -> list[Any]:
        """Return the probabilities of the predicted labels, `[T]` per sentence."""
        # As predictions compute them: `probabilities` of mtl does not keep products of words.
        found = self.model.annotate(sentences, [task], confidence=True)
        return [prediction.confidence[task] for prediction in found]


class Runtime(Mtl):
    """A bundle, read without torch."""

    def __init__(self, spec: dict[str, Any]) -> None:
        Contestant.__init__(self, spec)
        import mtl_runtime

        self.model = mtl_runtime.load(self.path)

    def table_bytes(self) -> int:
        """Return the bytes of the table of words."""
        words = self.model.predictor.words
        return sum(table.nbytes for table in words._memory.values())


class Onnx(Contestant):
    """The network of mtl in ONNX Runtime; the words are converted as docs/export.md says."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import onnxruntime

        import mtl
        from mtl.export.viterbi import viterbi
        from mtl.text.example import Example
        from mtl.text.spans import convert

        self.viterbi, self.example, self.convert = viterbi, Example, convert
        self.batcher = mtl.load(Path(spec["run"]), device="cpu").experiment.batcher
        self.description = json.loads(self.path.with_suffix(".json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.path, options)

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        found: dict[str, list[Any]] = {task: [None] * len(sentences) for task in tasks}
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            batch = self.batcher.batch([self.example(tuple(sentences[i])) for i in rows])
            tensors = {**batch.features, "mask": batch.mask}
            inputs = {name: tensors[name].numpy() for name in self.description["inputs"]}
            for task, emissions in zip(tasks, self.session.run(list(tasks), inputs), strict=True):
                own = self.description["tasks"][task]
                labels, scheme = own["labels"], own.get("scheme")
                paths = self.viterbi(emissions, inputs["mask"], **own.get("steps", {}))
                for i, path in zip(rows, paths, strict=True):
                    tags = [labels[k] for k in path[: len(sentences[i])]]
                    found[task][i] = self.convert(tags, scheme) if scheme else tags
        return found


class Crfsuite(Contestant):
    """Taggers of python-crfsuite, one per task."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import pycrfsuite
        from crfsuite_features import cached_features, sentence_features, word_features

        self.features = sentence_features
        self.of_word = cached_features if spec.get("kept") else word_features
        self.taggers = {task: pycrfsuite.Tagger() for task in self.tasks}
        for task, tagger in self.taggers.items():
            tagger.open(str(self.path / f"{task}.crfsuite"))

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        return {
            task: [self.taggers[task].tag(self.features(s, self.of_word)) for s in sentences]
            for task in tasks
        }

    @staticmethod
    def train(path: Path, data: dict[str, Any]) -> None:
        """Train for 30 iterations."""
        import pycrfsuite
        from crfsuite_features import sentence_features

        for task, own in data["tasks"].items():
            trainer = pycrfsuite.Trainer(verbose=False)
            trainer.set_params({"c1": 0.1, "c2": 0.1, "max_iterations": 30})
            for words, labels in own["train"]:
                trainer.append(sentence_features(words), labels)
            trainer.train(str(path / f"{task}.crfsuite"))


class Plain(Contestant):
    """The plain taggers of plain_tagger.py, one per task."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import plain_tagger

        self.models = {task: plain_tagger.load(self.path / f"{task}.pt") for task in self.tasks}

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        return {task: self.models[task].predict(sentences) for task in tasks}

    @staticmethod
    def train(path: Path, data: dict[str, Any]) -> None:
        """Train for one epoch."""
        import plain_tagger

        for task, own in data["tasks"].items():
            plain_tagger.train(own["train"], path / f"{task}.pt")


class Spacy(Contestant):
    """A pipeline of spaCy: a tagger, and an entity recogniser for tasks of spans."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import spacy
        from spacy.tokens import Doc

        self.make = Doc
        unused = ["parser", "attribute_ruler", "lemmatizer", "senter"]
        package = spec.get("package")
        self.nlp = spacy.load(package or self.path / "model-last", exclude=unused)
        self.spans: dict[str, bool] = spec["spans"]
        # The recogniser of en_core_web_sm has vectors of its own.
        self.shared = "ner" in self.nlp.get_pipe("tok2vec").listening_components

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        pipes = ["ner" if self.spans[task] else "tagger" for task in tasks]
        if "tagger" in pipes or self.shared:
            pipes.insert(0, "tok2vec")
        found: dict[str, list[Any]] = {task: [] for task in tasks}
        with self.nlp.select_pipes(enable=pipes):
            vocabulary = self.nlp.vocab
            docs = (self.make(vocabulary, words=list(s)) for s in sentences)
            for doc in self.nlp.pipe(docs, batch_size=256):
                for task in tasks:
                    if self.spans[task]:
                        tags = [f"{t.ent_iob_}-{t.ent_type_}".rstrip("-") or "O" for t in doc]
                    else:
                        tags = [t.tag_ for t in doc]
                    found[task].append(tags)
        return found

    @staticmethod
    def train(path: Path, data: dict[str, Any]) -> None:
        """Train a blank pipeline of the settings that spaCy calls efficient, for one epoch."""
        import spacy
        from spacy.cli.init_config import init_config
        from spacy.cli.train import train
        from spacy.tokens import Doc, DocBin
        from spacy.training import biluo_tags_to_spans, iob_to_biluo

        blank = spacy.blank("en")
        for split in ("train", "test"):
            tags: dict[tuple[str, ...], dict[str, list[str]]] = {}
            for task, own in data["tasks"].items():
                for words, labels in own[split]:
                    tags.setdefault(tuple(words), {})[task] = labels
            docs = DocBin()
            for words, by_task in tags.items():
                if len(by_task) < len(data["tasks"]):
                    continue
                doc = Doc(blank.vocab, words=list(words))
                for task, labels in by_task.items():
                    if data["tasks"][task]["spans"]:
                        doc.ents = biluo_tags_to_spans(doc, iob_to_biluo(labels))
                    else:
                        for token, label in zip(doc, labels, strict=True):
                            token.tag_ = label
                docs.add(doc)
            docs.to_disk(path / f"{split}.spacy")
        pipes = ["ner" if own["spans"] else "tagger" for own in data["tasks"].values()]
        init_config(lang="en", pipeline=pipes, optimize="efficiency", silent=True).to_disk(
            path / "config.cfg"
        )
        overrides = {
            "paths.train": str(path / "train.spacy"),
            "paths.dev": str(path / "test.spacy"),
            "training.max_epochs": 1,
            "training.eval_frequency": 1_000_000,
            "training.seed": SEED,
        }
        train(path / "config.cfg", path, overrides=overrides)


class Flair(Contestant):
    """Taggers of flair, one per task."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(spec)
        import flair
        import torch
        from flair.data import Sentence
        from flair.models import SequenceTagger

        flair.device = torch.device("cpu")
        self.sentence = Sentence
        self.spans: dict[str, bool] = spec["spans"]
        self.taggers = {t: SequenceTagger.load(self.path / f"{t}.pt") for t in self.tasks}

    def predict(self, sentences: Sentences, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return task to the labels of each sentence."""
        read = [self.sentence(list(words)) for words in sentences]
        found: dict[str, list[Any]] = {}
        for task in tasks:
            self.taggers[task].predict(read, mini_batch_size=32)
            if not self.spans[task]:
                found[task] = [[token.get_label(task).value for token in s] for s in read]
                continue
            rows = [["O"] * len(sentence) for sentence in read]
            for row, sentence in zip(rows, read, strict=True):
                for span in sentence.get_spans(task):
                    first = span.tokens[0].idx - 1
                    kind = span.get_label(task).value
                    row[first : first + len(span)] = [f"B-{kind}"] + [f"I-{kind}"] * (len(span) - 1)
            found[task] = rows
        return found

    @staticmethod
    def train(path: Path, data: dict[str, Any]) -> None:
        """Train for one epoch, as in training_bench.py: words, the character LSTM, a CRF."""
        import random

        import flair
        import torch
        from flair.data import Corpus, Dictionary, Sentence
        from flair.datasets import FlairDatapointDataset
        from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
        from flair.models import SequenceTagger
        from flair.training_utils import store_embeddings

        flair.device = torch.device("cpu")
        flair.set_seed(SEED)
        for task, own in data["tasks"].items():
            sentences = []
            for words, labels in own["train"]:
                sentence = Sentence(list(words))
                for start, end, kind in spans(labels) if own["spans"] else ():
                    sentence[start:end].add_label(task, kind)
                for token, label in () if own["spans"] else zip(sentence, labels, strict=True):
                    token.add_label(task, label)
                sentences.append(sentence)
            corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False)
            known = Dictionary()
            for character in sorted({c for s in sentences for token in s for c in token.text}):
                known.add_item(character)
            tagger = SequenceTagger(
                StackedEmbeddings(
                    [
                        OneHotEmbeddings.from_corpus(corpus, min_freq=2, embedding_length=100),
                        CharacterEmbeddings(known, char_embedding_dim=25, hidden_size_char=25),
                    ]
                ),
                corpus.make_label_dictionary(task, add_unk=False),
                task,
                hidden_size=200,
                reproject_embeddings=False,
                word_dropout=0.0,
                locked_dropout=0.5,
                use_crf=own["spans"],
            )
            optimizer = torch.optim.Adam(tagger.parameters(), lr=0.002)
            # Sentences of similar length together: flair trains faster on such batches.
            sentences.sort(key=len)
            batches = [sentences[i : i + 32] for i in range(0, len(sentences), 32)]
            random.Random(SEED).shuffle(batches)
            tagger.train()
            for batch in batches:
                optimizer.zero_grad()
                tagger.forward_loss(batch)[0].backward()
                store_embeddings(batch, "none")
                torch.nn.utils.clip_grad_norm_(tagger.parameters(), 5.0)
                optimizer.step()
            tagger.save(path / f"{task}.pt")


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return start, end and type of the spans of BIO tags."""
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and found and found[-1][1:] == (i, kind):
            found[-1] = (found[-1][0], i + 1, kind)
        elif mark != "O":
            found.append((i, i + 1, kind))
    return found


KINDS: dict[str, type[Contestant]] = {
    "mtl": Mtl,
    "runtime": Runtime,
    "onnx": Onnx,
    "crfsuite": Crfsuite,
    "plain": Plain,
    "spacy": Spacy,
    "flair": Flair,
}


class Worker:
    """Answers requests about a contestant.

    Args:
        spec: The contestant; `first`: a sentence to label at the start; `data`: the file of data.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        if spec.get("torch"):
            import torch

            torch.set_num_threads(1)
        before = process_time()
        self.contestant = KINDS[spec["kind"]](spec)
        self.contestant.predict([spec["first"]], spec["tasks"])
        done = process_time()
        self.start = {"all": done, "beyond": done - before, "memory": memory()}
        if spec.get("data"):
            data = json.loads(Path(spec["data"]).read_text())
            self.sentences: Sentences = data["sentences"]
            self.single: Sentences = data["single"]

    def answer(self, request: dict[str, Any]) -> Any:
        """Return the answer to one request."""
        tasks = request.get("tasks") or self.contestant.tasks
        if part := request.get("part"):
            return self.batch(tasks, part)
        return getattr(self, request["do"])(tasks)

    def batch(self, tasks: Sequence[str], part: int = 1) -> float:
        """Return the tokens per second of processor time for one sentence in `part`."""
        sentences = self.sentences[::part]
        began = process_time()
        self.contestant.predict(sentences, tasks)
        return sum(map(len, sentences)) / (process_time() - began)

    def one(self, tasks: Sequence[str]) -> list[float]:
        """Return the seconds for each of some sentences, one by one."""
        found = []
        for sentence in self.single:
            began = process_time()
            self.contestant.predict([sentence], tasks)
            found.append(process_time() - began)
        return found

    def labels(self, tasks: Sequence[str]) -> dict[str, list[Any]]:
        """Return the labels of all sentences."""
        found = self.contestant.predict(self.sentences, tasks)
        return {task: [list(row) for row in rows] for task, rows in found.items()}

    def probabilities(self, tasks: Sequence[str]) -> str:
        """Write the probabilities of labels, and return the path of the file."""
        import numpy as np

        assert isinstance(self.contestant, Mtl)
        path = f"{self.spec['data']}.{os.getpid()}.npz"
        found = {t: self.contestant.probabilities(self.sentences, t) for t in tasks}
        np.savez(path, **{task: np.concatenate(rows) for task, rows in found.items()})
        return path

    def memory(self, _: Sequence[str]) -> dict[str, float]:
        """Return the resident memory and the size of the table of words, in megabytes."""
        return {"all": memory(), "table": self.contestant.table_bytes() / 1e6}

    def profile_batch(self, tasks: Sequence[str]) -> list[str]:
        """Return the functions that take most of the time of a batch."""
        return profiled(lambda: self.batch(tasks))

    def profile_one(self, tasks: Sequence[str]) -> list[str]:
        """Return the functions that take most of the time of single sentences."""
        return profiled(lambda: self.one(tasks))


def profiled(work: Callable[[], object], count: int = 5) -> list[str]:
    """Return the functions with most time of their own, each as one line."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.runcall(work)
    return _largest(pstats.Stats(profile), count)


def profiled_file(path: Path, count: int = 5) -> list[str]:
    """Return the same from a file that cProfile wrote."""
    import pstats

    return _largest(pstats.Stats(str(path)), count)


def _largest(profile: Any, count: int) -> list[str]:
    stats = profile.stats
    total = sum(own for _, _, own, _, _ in stats.values())
    largest = sorted(stats.items(), key=lambda item: -item[1][2])[:count]
    return [
        f"{own / total:.0%} {'/'.join(Path(file).parts[-2:])}:{line} {name}"
        if line
        else f"{own / total:.0%} {name}"
        for (file, line, name), (_, _, own, _, _) in largest
    ]


def memory() -> float:
    """Return the resident memory of this process in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def main() -> None:
    # Libraries print, too: answers have a stream of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spec = json.loads(sys.argv[1])
    if spec.get("train"):
        KINDS[spec["kind"]].train(Path(spec["path"]), json.loads(Path(spec["data"]).read_text()))
        return
    if spec.get("profile"):
        del spec["profile"]
        print(json.dumps(profiled(lambda: Worker(spec))), file=answers, flush=True)
        return
    worker = Worker(spec)
    print(json.dumps(worker.start), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

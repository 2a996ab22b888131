"""Check that two checkouts compute the same numbers, bit for bit.

    MTL_DATA=… python scripts/same_numbers.py BEFORE AFTER [--only NAME …] [--keep FOLDER]

Each case trains one or more small models on the CPU with one thread, first with BEFORE and then
with AFTER. Both use the run files of BEFORE. The script compares:

- all numbers in the log of steps and epochs, dev scores included, except times and speeds (the
  log has one step in 20, and the mean losses of all steps of an epoch);
- the output of `mtl evaluate --json` on the test set;
- the output of `mtl predict --format jsonl --confidence` on a few sentences, and of further
  commands in some cases;
- the names, types, shapes and bytes of the tensors in `model.safetensors`.

The exit code is 1 if a number differs or a command fails. `--keep FOLDER` keeps the run folders,
the outputs, and a list of all differences for each case.

With `--cache FOLDER` the results of BEFORE are kept by commit and computed only once. They are
computed again after a change of the case, the libraries, the processor or the compiled operators,
and always if tracked files of BEFORE have changed. The corpora must stay the same.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

TIMES = {"seconds", "tokens_per_second"}
"""Keys of the log that are not compared."""


@dataclass(frozen=True)
class Run:
    """A model to train.

    Args:
        name: The name of the run folder.
        config: The path of a run file in BEFORE, or the YAML text of a run.
        overrides: Overrides for the command line. `{inputs}` becomes the folder of inputs.
        text: The input of `mtl predict` in the folder of inputs; "" to leave prediction out.
        epochs: If given, training resumes after its end up to this number of epochs.
        more: Further commands. `{run}` becomes the run folder.
    """

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    text: str = "sentences.txt"
    epochs: int | None = None
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Runs that are trained one after another in one process.

    Args:
        name: The name in the table.
        runs: The runs. A run may start from the model of an earlier one.
        needs: The requirement: "corpora", "quickstart", "transformers" or "" for none.
    """

    name: str
    runs: tuple[Run, ...]
    needs: str = ""


@dataclass
class Outcome:
    """The numbers of a case in one checkout.

    Args:
        values: Place to a number, string, boolean or None.
        tensors: Place to the type, the shape and the digest of a tensor.
        error: The end of standard error if a command failed.
        seconds: The wall-clock time.
    """

    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, list[Any]] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


# Cases with the run files of the checkout

SMALL = (
    "trunk.hidden_size=24",
    "embedding.words.dim=24",
    "training.epochs=1",
    "training.epoch_steps=40",
    "training.optimizer.lr=0.01",
    "training.schedule.warmup=5",
    "training.average=0.9",
)
"""Overrides that make a run small and let it learn something in 40 steps."""

AWD = (
    "trunk.num_layers=2",
    "training.batch={streams: 4, bptt: 12}",
    "training.epochs=4",
    "training.epoch_steps=12",
    "training.optimizer.lr=5.0",
    "training.average={type: asgd, trigger: 1}",
)
STREAMS = (
    "evaluate {run} --json --task next --dynamic",
    "evaluate {run} --json --task next --cache --window 50",
    "evaluate {run} --json --streams 2",
    "generate {run} --length 20",
)

SPLITS = {"unlabelled": ("train",)}
"""The splits of corpora that do not have all three."""


def limits(before: Path, config: str) -> tuple[str, ...]:
    """Return overrides that limit the corpora of a run file to a few sentences."""
    return tuple(
        f"corpora.{name}.limit.{split}={300 if split == 'train' else 80}"
        for name in dict.fromkeys(corpora(before / config))
        for split in SPLITS.get(name, ("train", "dev", "test"))
    )


def corpora(config: Path) -> Iterator[str]:
    """Yield the names of the corpora in a run file and in the files that it extends."""
    text = config.read_text(encoding="utf-8")
    if extended := re.search(r"^extends: (\S+)", text, re.MULTILINE):
        yield from corpora(config.parent / extended[1])
    yield from re.findall(r"\buse: (\w+)/", text)


def configured_cases(before: Path) -> Iterator[Case]:
    """Yield the cases with the run files of BEFORE."""

    def small(name: str, config: str, *overrides: str, **options: Any) -> Run:
        return Run(name, config, (*SMALL, *limits(before, config), *overrides), **options)

    steps = ("training.epochs=1", "training.epoch_steps=60", "training.schedule.warmup=10")
    quickstart = Run("run", "configs/quickstart.yaml", steps)
    yield Case("quickstart", (quickstart,), "quickstart")
    yield Case("ewt_pos_ner", (Run("run", "configs/ewt_pos_ner.yaml", steps),), "corpora")
    for path in sorted((before / "configs" / "sharing").glob("*.yaml")):
        run = small("run", f"configs/sharing/{path.name}")
        yield Case(f"sharing/{path.stem}", (run,), "corpora")
    for path in sorted((before / "configs" / "weighting").glob("*.yaml")):
        rounds = ("training.epochs=3", "training.epoch_steps=20")
        run = small("run", f"configs/weighting/{path.name}", *rounds)
        yield Case(f"weighting/{path.stem}", (run,), "corpora")
    language_model = "configs/lm_wikitext2.yaml"
    pretrained = small(
        "pretrained",
        language_model,
        "training.average=null",
        "training.batch={streams: 4, bptt: 12}",
        more=STREAMS,
    )
    tuned = small(
        "tuned",
        "configs/ewt_pos.yaml",
        "trunk={init: pretrained, dropout: 0.2}",
        "training.fine_tuning={lr_ratio: 2.0, gradual: true}",
        "training.epochs=3",
        "training.epoch_steps=15",
        "training.schedule={type: slanted, rise: 0.2}",
    )
    yield Case("lm_wikitext2", (pretrained, tuned), "corpora")
    papers = [f"configs/papers/awd_{kind}_wikitext2.yaml" for kind in ("lstm", "qrnn")]
    awd = tuple(small(Path(path).stem, path, *AWD, more=STREAMS) for path in papers)
    yield Case("awd_wikitext2", awd, "corpora")
    genres = "configs/ewt_genre_adversary.yaml"
    distance = "tasks.genre.head={type: domain_distance, distance: %s}"
    runs = [small("adversary", genres)]
    runs += [small(kind, genres, distance % kind) for kind in ("mmd", "coral")]
    yield Case("ewt_genre_adversary", tuple(runs), "corpora")
    names = ("trec", "ewt_trec", "mr", "sst2", "wnut17", "conll2000_pos")
    runs = [small(name, f"configs/{name}.yaml") for name in names]
    yield Case("other_configs", tuple(runs), "corpora")
    shipped = (
        *limits(before, "configs/ewt_pos.yaml"),
        "trunk.init=wikitext2",
        "training.epochs=1",
        "training.epoch_steps=10",
        "training.fine_tuning={frozen: [embedding]}",
    )
    yield Case("shipped_model", (Run("run", "configs/ewt_pos.yaml", shipped),), "corpora")


# Cases with made-up corpora

CORPORA = """\
corpora:
  tagged:
    reader: {type: conll, columns: [tokens, pos, chunk]}
    files: {train: train.conll, dev: dev.conll, test: test.conll}
    tasks:
      pos: {labels: pos, head: {type: softmax}, metric: accuracy}
      chunk: {labels: chunk, scheme: bio, head: {type: crf, scheme: iobes}, metric: span_f1}
      frequency: {labels: {word: frequency}, head: {type: softmax}, metric: accuracy}
      digits: {labels: {hint: {pattern: "[0-9]"}}, head: {type: softmax}, metric: accuracy}
      listed:
        labels: {hint: {lexicon: lexicon.txt, level: sentence}}
        head: {type: pool}
        metric: f1
      same: {labels: {text: same}, head: {type: lm}, metric: perplexity}
      next: {labels: {text: next}, head: {type: lm}, metric: perplexity}
  more:
    reader: {type: conll, columns: [tokens, pos, chunk]}
    files: {train: more.conll}
    splits: {dev: 15%, test: 15%}
    tasks:
      chunk: {labels: chunk, scheme: bio, head: {type: crf}, metric: span_f1}
  reviews:
    reader: {type: csv}
    files: {train: reviews.csv}
    splits: {dev: 20%, test: 20%}
    tasks:
      kind: {labels: kind, head: {type: cnn}, metric: accuracy}
      topics: {labels: {column: topics, form: set, separator: ;}, head: pool, metric: set_f1}
      stars: {labels: {column: stars, form: number}, head: {type: attention}, metric: pearson}
  pairs:
    reader: {type: jsonl, text: one, pair: other}
    files: {train: pairs.jsonl}
    splits: {dev: 20%, test: 20%}
    tasks:
      score: {labels: {column: score, form: number}, head: pool, metric: squared_error}
      alike: {labels: alike, head: {type: attention}, metric: accuracy}
  stories:
    reader: {type: text}
    files: {train: train.txt, dev: dev.txt, test: test.txt}
    tasks:
      next: {labels: {text: next}, head: {type: lm}, metric: perplexity}
      previous: {labels: {text: previous}, head: {type: lm}, metric: perplexity}
"""

TINY = """\
extends: corpora.yaml
embedding:
  words: {dim: 16, dropout: 0.2}
  characters: {type: cnn, dim: 8, filters: 8}
  affixes: {dim: 4}
trunk: {type: lstm, num_layers: 2, hidden_size: 16, bidirectional: true, dropout: 0.2}
training:
  epochs: 2
  batch: {sentences: 16}
  optimizer: {lr: 0.01}
  schedule: {warmup: 4}
  average: 0.9
"""

TAGGERS = "tasks: {pos: {use: tagged/pos}, chunk: {use: more/chunk}}"
STORIES = "tasks: {next: {use: stories/next}, previous: {use: stories/previous}}"

SHARINGS = {
    "cross_stitch": "{type: cross_stitch, alpha: channel, lr_factor: 10}",
    "shared_only": "{type: shared_private, shared_only: [chunk], difference: 0.1}",
    "hierarchical": "{type: hierarchical, order: [chunk, pos], label_dim: 0}",
    "soft_clustered": "{type: soft, penalty: clustered, clusters: [[pos], [chunk]]}",
    "soft_mean": "{type: soft, penalty: mean}",
    "tensor_last_axis": "{type: tensor, factors: last_axis}",
    "tensor_train": "{type: tensor, factors: tensor_train}",
}
TRUNKS = {
    "gru": "{type: gru, connections: residual}",
    "qrnn": "{type: qrnn, zoneout: 0.1, weight_drop: 0.1, pooling: ifo}",
    "stepwise_lstm": "{layer_norm: true, zoneout: 0.1, learned_start: true}",
    "interleaved": "{bidirectional: interleaved, connections: highway, feed_forward: 12}",
    "dense": "{connections: dense, sum_layers: true, weight_drop: 0.2}",
}
TRANSFORMER = """\
embedding: {words: {dim: 16}}
trunk:
  {type: transformer, num_layers: 2, hidden_size: 16, num_heads: 2, feed_forward: 16, positions: 64}
training: {max_length: 64, overlap: 8}
"""
BERT = """\
extends: corpora.yaml
embedding: {}
trunk: {type: transformer, name: bert}
training: {max_length: 64, overlap: 8, optimizer: {lr: 0.001}, fine_tuning: {lr_ratio: 1.2}}
"""
MIXINGS = ("uniform", "temperature", "annealed", "round_robin", "joint", "progress")
UPDATES = {
    "sgd": "{optimizer: {type: sgd, lr: 0.1, momentum: 0.9}, schedule: {type: linear}}",
    "adamw": "{optimizer: {type: adamw}, schedule: {type: cosine, warmup: 3}, clip_norm: 0.5}",
    "nadam": "{optimizer: {type: nadam}, schedule: {type: plateau, patience: 1}}",
    "adamax": "{optimizer: {type: adamax}, schedule: {type: anneal_restart, patience: 1}}",
    "adagrad": "{optimizer: {type: adagrad}, average: null}",
    "adadelta": "{optimizer: {type: adadelta, lr: 1.0}, clip_norm: null}",
    "rmsprop": "{optimizer: {type: rmsprop}, patience: 1}",
    "asgd": "{optimizer: {type: sgd, lr: 3.0}, average: {type: asgd, trigger: 1}}",
}
HEADS = {
    "constrained": "{chunk: {head: {type: constrained, scheme: bio, hidden_size: 12}}}",
    "attention": "{chunk: {head: {attention: multi_head}}, pos: {head: {label_smoothing: 0.1}}}",
    "weighted": "{chunk: {head: {constrained: true, class_weights: {B-NP: 2.0}}}}",
    "layers": "{pos: {layer: 1, lr: 0.02, weight: 0.5}, chunk: {layer: mix, sampling: 2}}",
}
EMBEDDINGS = {
    "characters": "{characters: {type: lstm, dim: 8, hidden_size: 8}, words: {lowercase: false}}",
    "subwords": "{subwords: {dim: 8}}",
    "vectors": "{words: {dim: 8, vectors: '{inputs}/vectors.txt', multichannel: true}}",
}


def made_up_cases() -> Iterator[Case]:
    """Yield the cases with made-up corpora."""

    def variants(name: str, key: str, values: dict[str, str], *overrides: str) -> Case:
        runs = (Run(own, TAGGERS, (f"{key}={v}", *overrides)) for own, v in values.items())
        return Case(name, tuple(runs))

    explain = "predict {run} {inputs}/sentences.txt --explain --format jsonl --task "
    reviews = "tasks: {kind: {use: reviews/kind}, topics: {use: reviews/topics}}"
    stars = "tasks: {stars: {use: reviews/stars, head: {%s}}}"
    sentences = (
        Run("labels_and_sets", reviews),
        Run("cnn", reviews, ("tasks.kind.head={widths: [2, 3], pooling: mean}",)),
        Run("pool", reviews, ("tasks.topics.head={pooling: concat}",)),
        Run("numbers", stars % "score: scaled", more=(explain + "stars",)),
        Run("hops", stars % "hops: 2, penalty: 0.1", more=(explain + "stars",)),
    )
    yield Case("sentences", sentences)
    compared = "tasks: {score: {use: pairs/score}, alike: {use: pairs/alike}}"
    alike = ("training.metric=alike.accuracy",)
    compare = (*alike, "tasks.alike.head={compare: [difference, product]}")
    runs = [Run("all", compared, alike, "pairs.txt"), Run("two", compared, compare, "pairs.txt")]
    yield Case("pairs", tuple(runs))
    auxiliary = "tasks: {pos: {use: tagged/pos}, %s: {use: tagged/%s, weight: 0.2}}"
    metric = ("training.metric=pos.accuracy", "trunk.num_layers=1")
    names = ("frequency", "digits", "listed", "same", "next")
    runs = [Run(name, auxiliary % (name, name), metric) for name in names]
    yield Case("auxiliary_tasks", tuple(runs))
    streams = ("training.metric=next.perplexity", "training.batch={streams: 4, bptt: 8}")
    runs = [
        Run(kind, STORIES, (*streams, f"tasks.next.head.output={kind}"), more=STREAMS[-2:])
        for kind in ("tied", "full", "adaptive", "tied_adaptive", "mos")
    ]
    one_way = (*streams, "trunk.bidirectional=false", "training.batch.growing_bptt=1")
    cuts = {"subwords": "{tokenize: subwords, subwords: 300}", "letters": "{tokenize: characters}"}
    forwards = "embedding: {characters: null, affixes: null}\ntasks: {next: {use: stories/next}}"
    runs += [
        Run(name, forwards, (*one_way, f"corpora.stories.reader={cut}"), text="", more=STREAMS)
        for name, cut in cuts.items()
    ]
    yield Case("language_models", tuple(runs))
    yield variants("sharing_options", "sharing", SHARINGS)
    trunks = variants("trunks", "trunk", TRUNKS)
    transformer = Run("transformer", f"extends: corpora.yaml\n{TRANSFORMER}{TAGGERS}")
    yield Case("trunks", (*trunks.runs, transformer))
    yield variants("mixings", "training.mixing", {kind: kind for kind in MIXINGS})
    yield variants("optimizers", "training", UPDATES, "training.epochs=5")
    yield variants("heads", "tasks", HEADS)
    yield variants("embeddings", "embedding", EMBEDDINGS)
    windows = ("seeds=2", "training.max_length=8", "training.overlap=2")
    resumed = (Run("resumed", TAGGERS, epochs=3), Run("seeds", TAGGERS, windows, text=""))
    yield Case("resumed_and_seeds", resumed)
    runs = [
        Run(align, f"{BERT}{TAGGERS}", ("training.epochs=2", f"trunk.align={align}"))
        for align in ("first", "mean")
    ]
    yield Case("pretrained_transformer", tuple(runs), "transformers")


# Inputs

NAMES = ["Ann", "Bob", "Cora", "Dora", "Emil", "Fred", "Rome", "Paris", "Oslo", "Ada"]
NOUNS = ["soup", "bread", "waiter", "view", "place", "bus", "film", "phone", "song", "king"]
GOOD = ["good", "fine", "friendly", "wonderful", "bright", "lovely"]
BAD = ["bad", "cold", "rude", "dull", "broken", "slow"]
VERBS = ["saw", "found", "liked", "left", "brought", "heard", "lost", "kept"]

TEXT = """\
Ann saw a wonderful film in Paris.
The waiter was rude and 3 soups were cold!
Bob
Zed's brand-new quixotic gadget costs $12.50; nobody liked the screen, the phone or the song.
"""
PAIRS = "Ann saw the film.\tThe film was seen by Ann.\nA dull road\tBob kept 4 phones.\n"

TINY_BERT = """
import sys, torch, transformers
torch.manual_seed(1)
letters = "abcdefghijklmnopqrstuvwxyz0123456789"
known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
numbers = {subword: number for number, subword in enumerate(known)}
config = transformers.BertConfig(
    vocab_size=len(known), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=16, max_position_embeddings=96, initializer_range=0.3,
)
transformers.BertTokenizer(vocab=numbers, do_lower_case=True).save_pretrained(sys.argv[1])
transformers.BertModel(config).save_pretrained(sys.argv[1])
"""
"""Writes a BERT with random weights."""


def write_inputs(folder: Path) -> None:
    """Write the made-up corpora. They are the same each time."""
    draw = random.Random(1)
    files = {"corpora.yaml": CORPORA, "tiny.yaml": TINY, "sentences.txt": TEXT, "pairs.txt": PAIRS}
    for name, count in {"train": 160, "dev": 40, "test": 40, "more": 140}.items():
        sentences = [tagged_sentence(draw) for _ in range(count)]
        rows = ["".join(f"{' '.join(row)}\n" for row in sentence) for sentence in sentences]
        files[f"{name}.conll"] = "\n".join(rows)
        files[f"{name}.txt"] = "".join(f"{words_of(sentence)}\n" for sentence in sentences)
    files["lexicon.txt"] = "".join(f"{word}\n" for word in (*GOOD, *NAMES[:4]))
    words = [*NOUNS, *GOOD[:3], *VERBS]
    vectors = (" ".join(f"{draw.gauss(0, 1):.4f}" for _ in range(8)) for _ in words)
    files["vectors.txt"] = "".join(f"{w} {v}\n" for w, v in zip(words, vectors, strict=True))
    files["reviews.csv"] = "text,kind,topics,stars\n" + "".join(reviews(draw, 200))
    files["pairs.jsonl"] = "".join(f"{json.dumps(pair)}\n" for pair in pairs(draw, 160))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def tagged_sentence(draw: random.Random) -> list[tuple[str, str, str]]:
    """Return the words of a sentence with a part of speech and a chunk tag each."""
    found = [*noun_phrase(draw), (draw.choice(VERBS), "VERB", "B-VP")]
    if draw.random() < 0.7:
        found += noun_phrase(draw)
    if draw.random() < 0.3:
        found += [("in", "ADP", "B-PP"), *noun_phrase(draw)]
    return [*found, (draw.choice(".!"), "PUNCT", "O")]


def noun_phrase(draw: random.Random) -> list[tuple[str, str, str]]:
    """Return a name, or a noun with an article or a number and adjectives."""
    if draw.random() < 0.3:
        return [(draw.choice(NAMES), "PROPN", "B-NP")]
    first = draw.choice([("the", "DET"), ("a", "DET"), (str(draw.randint(2, 99)), "NUM")])
    adjectives = [(draw.choice(GOOD + BAD), "ADJ") for _ in range(draw.choice((0, 0, 1, 2)))]
    noun = NOUNS[min(int(draw.expovariate(0.3)), len(NOUNS) - 1)]
    words = [first, *adjectives, (noun + "s" * (first[1] == "NUM"), "NOUN")]
    return [(word, tag, "I-NP" if n else "B-NP") for n, (word, tag) in enumerate(words)]


def words_of(sentence: Sequence[tuple[str, str, str]]) -> str:
    """Return the text of a sentence."""
    return " ".join(word for word, _, _ in sentence)


def reviews(draw: random.Random, count: int) -> Iterator[str]:
    """Yield lines of CSV with a label, a set of labels and a number. Some are missing."""
    for _ in range(count):
        text = words_of(tagged_sentence(draw))
        words = text.split()
        balance = sum(w in GOOD for w in words) - sum(w in BAD for w in words)
        kind = "praise" if balance > 0 else "complaint" if balance else "other"
        topics = sorted({f"on_{w.rstrip('s')}" for w in words if w.rstrip("s") in NOUNS[:5]})
        stars = "" if draw.random() < 0.1 else f"{3 + balance + draw.choice((0, 0.5))}"
        yield f"{text},{kind},{';'.join(topics)},{stars}\n"


def pairs(draw: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Yield pairs of sentences with a score and a label."""
    for _ in range(count):
        one, other = (words_of(tagged_sentence(draw)) for _ in range(2))
        if draw.random() < 0.4:
            other = one.replace("the ", "a ")
        common = len({*one.split()} & {*other.split()}) / len({*one.split()})
        yield {"one": one, "other": other, "score": common, "alike": str(common > 0.5)}


# Running

DRIVER = """
import contextlib, importlib, json, os, pathlib, sys, traceback
checkout, entry = sys.argv[1:]
for slow in ("datasets", "torch._dynamo", "torch.utils.tensorboard"):
    with contextlib.suppress(ImportError):
        importlib.import_module(slow)
module, _, function = entry.partition(":")
main = getattr(importlib.import_module(module), function)
mtl = importlib.import_module("mtl")
mtl.train  # imports most modules
found = pathlib.Path(mtl.__file__).resolve().parent.parent
assert found == pathlib.Path(checkout), f"imported mtl from {found}, expected {checkout}"

def run(folder, commands):
    os.chdir(folder)
    errors = os.open("errors.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    for output, arguments in commands.items():
        sys.argv = ["mtl", *arguments]
        with open(output, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            try:
                main()
            except SystemExit as stopped:
                if stopped.code:
                    print("The command was: mtl", *arguments, file=sys.stderr)
                    return 1
    return 0

for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 1
        try:
            code = run(**json.loads(line))
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs the commands of each case in a process of its own, forked after the slow imports."""


class Checkout:
    """A checkout that computes the numbers of cases.

    Args:
        name: "before" or "after".
        path: The folder of the checkout.
        configs: The checkout with the run files.
        work: The folder for the inputs and the run folders.
    """

    def __init__(self, name: str, path: Path, configs: Path, work: Path) -> None:
        self.path = path
        self.configs = configs
        self.inputs = work / "inputs"
        self.folder = work / name
        self._driver: subprocess.Popen[str] | None = None

    def compute(self, case: Case) -> Outcome:
        """Train the runs of a case and return their numbers."""
        folder = self.folder / case.name
        folder.mkdir(parents=True)
        commands: dict[str, list[str]] = {}
        for run in case.runs:
            commands |= self._commands(case, run)
        began = time.perf_counter()
        failed = self._run(folder, commands)
        outcome = Outcome(seconds=time.perf_counter() - began)
        if failed:
            errors = (folder / "errors.txt").read_text(encoding="utf-8").splitlines()
            last = [line.strip() for line in errors if any(map(str.isalpha, line))][-3:]
            outcome.error = " ".join(last) or failed
            return outcome
        for run in case.runs:
            read_run(folder, run.name, outcome)
        for output in commands:
            if not output.endswith(".train"):
                text = (folder / output).read_text(encoding="utf-8")
                outcome.values |= flat(parsed(text), f"{output}:")
        return outcome

    def _run(self, folder: Path, commands: dict[str, list[str]]) -> str:
        """Run commands in a folder and return the reason if one failed."""
        driver = self._driver = self._driver or self._start()
        assert driver.stdin
        assert driver.stdout
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"folder": str(folder), "commands": commands}), file=driver.stdin)
            driver.stdin.flush()
        code = driver.stdout.readline().strip()
        if not code:
            sys.exit(f"error: {self.path}: the command `mtl` cannot be imported")
        return "" if code == "0" else f"exit code {code}"

    def _start(self) -> subprocess.Popen[str]:
        setup = configparser.ConfigParser()
        setup.read(self.path / "setup.cfg")
        scripts = setup.get("options.entry_points", "console_scripts", fallback="")
        found = re.search(r"^mtl *= *(.+)", scripts, re.MULTILINE)
        entry = found[1] if found else "mtl.cli.main:main"
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            "MTL_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
        }
        if "MTL_DATA" in environment:
            environment["MTL_DATA"] = os.path.abspath(environment["MTL_DATA"])
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.path), entry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=environment,
            text=True,
        )

    def close(self) -> None:
        """End the process that runs the commands."""
        if self._driver:
            self._driver.communicate()

    def _commands(self, case: Case, run: Run) -> dict[str, list[str]]:
        """Return the commands of a run by the files for their outputs."""
        config = self.configs / run.config
        if not run.config.endswith(".yaml"):
            config = self.inputs / f"{case.name}.{run.name}.yaml"
            extends = "" if run.config.startswith("extends:") else "extends: tiny.yaml\n"
            config.write_text(extends + run.config, encoding="utf-8")
        overrides = [text.replace("{inputs}", str(self.inputs)) for text in run.overrides]
        if case.needs == "quickstart":
            overrides += quickstart_files(self.inputs / "quickstart")
        train = ["train", str(config), *overrides, "training.device=cpu", "--output", run.name]
        found = {f"{run.name}.train": train}
        if run.epochs:
            resumed = [*train, f"training.epochs={run.epochs}", "--resume"]
            found[f"{run.name}.resume.train"] = resumed
        lines = ["evaluate {run} --json"]
        if run.text:
            lines.append(f"predict {{run}} {{inputs}}/{run.text} --format jsonl --confidence")
        for number, line in enumerate((*lines, *run.more)):
            own = [word.format(run=run.name, inputs=self.inputs) for word in line.split()]
            found[f"{run.name}.{number}.{own[0]}"] = [*own, "--device", "cpu"]
        return found


def quickstart_files(folder: Path) -> list[str]:
    """Return overrides with the files of the quick start in a folder."""
    endings = {"addresses": "conll", "sentiment": "tsv"}
    return [
        f"corpora.{name}.files.{split}={folder / f'{name}.{split}.{end}'}"
        for name, end in endings.items()
        for split in ("train", "dev", "test")
    ]


def parsed(text: str) -> Any:
    """Return the content of JSON, of lines of JSON, or the lines of other text."""
    try:
        return json.loads(text)
    except ValueError:
        lines = text.splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        return lines


def flat(value: Any, place: str) -> dict[str, Any]:
    """Return the leaves of nested dicts and lists by their places, without times."""
    if isinstance(value, dict):
        items = [(key, child) for key, child in value.items() if key not in TIMES]
    elif isinstance(value, list):
        items = [(str(number), child) for number, child in enumerate(value)]
    else:
        return {place: value}
    found: dict[str, Any] = {}
    for key, child in items:
        found |= flat(child, f"{place} {key}")
    return found


def read_run(folder: Path, run: str, outcome: Outcome) -> None:
    """Add the log and the weights of a run folder, or of the folders of its seeds."""
    logs = sorted((folder / run).rglob("metrics.jsonl"))
    models = sorted((folder / run).rglob("model.safetensors"))
    if not (logs and models):
        outcome.error = f"{run}: no metrics.jsonl or model.safetensors in the run folder"
    for path in logs:
        place = str(path.parent.relative_to(folder))
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            at = f"{record['type']} {record['step']} of epoch {record['epoch']}"
            outcome.values |= flat(record, f"{place} {at}:")
    for path in models:
        place = str(path.parent.relative_to(folder))
        for name, tensor in read_tensors(path):
            outcome.tensors[f"{place}: {name}"] = tensor


def read_tensors(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Yield the names of tensors in a safetensors file with type, shape and digest."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in sorted(json.loads(data[8:start]).items()):
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            digest = hashlib.sha256(data[start + first : start + last]).hexdigest()
            yield name, [entry["dtype"], entry["shape"], digest]


# Comparing


def differences(before: Outcome, after: Outcome) -> Iterator[str]:
    """Yield all differences between two outcomes."""
    for name, outcome in (("BEFORE", before), ("AFTER", after)):
        if outcome.error:
            yield f"{name} failed: {outcome.error}"
    if before.error or after.error:
        return
    for place in {**before.values, **after.values}:
        one, other = (
            json.dumps(own.values[place]) if place in own.values else "missing"
            for own in (before, after)
        )
        if one != other:
            yield f"{place}: {one} → {other}"
    yield from tensor_differences(before.tensors, after.tensors)


def tensor_differences(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> Iterator[str]:
    """Yield the tensors that differ. New names of equal tensors are reported as such."""
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    if sorted(map(str, map(before.get, gone))) == sorted(map(str, map(after.get, new))):
        for name in gone:
            renamed = next(own for own in new if after[own] == before[name])
            new.remove(renamed)
            yield f"tensor {name}: the same values under another name, {renamed}"
    else:
        yield from (f"tensor {name}: only in BEFORE" for name in gone)
        yield from (f"tensor {name}: only in AFTER" for name in new)
    for name in before:
        if name in after and before[name] != after[name]:
            (one, old, _), (other, new_shape, _) = before[name], after[name]
            same = (one, old) == (other, new_shape)
            shown = "other values" if same else f"{one} {old} → {other} {new_shape}"
            yield f"tensor {name}: {shown}"


# Keeping


def commit_of(checkout: Path) -> str | None:
    """Return the commit of a checkout, or None if tracked files have changed or git fails."""
    found = []
    for command in (["status", "--porcelain", "--untracked-files=no"], ["rev-parse", "HEAD"]):
        git = ["git", "-C", str(checkout), *command]
        done = subprocess.run(git, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        found.append(done.stdout.strip())
    return None if found[0] else found[1]


def conditions(checkout: Path, inputs: Path) -> str:
    """Return a digest of everything besides the commit and the case that affects numbers."""
    parts = [platform.python_version(), platform.machine(), os.environ.get("MTL_NO_EXT", "")]
    parts += [importlib.metadata.version(name) for name in ("torch", "numpy", "tokenizers")]
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text(encoding="utf-8") if cpu.is_file() else platform.processor()
    parts += sorted(set(re.findall(r"^(?:model name|flags)\s*:.*$", text, re.MULTILINE)))
    files = [*operators(checkout), *sorted(inputs.glob("*.*"))]
    parts += [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()]
    return hashlib.sha256(json.dumps([*parts, DRIVER, TINY_BERT]).encode()).hexdigest()


def operators(checkout: Path) -> list[Path]:
    """Return the compiled operators of a checkout."""
    return sorted((checkout / "mtl").rglob("*.so"))


class Kept:
    """A folder of results.

    Args:
        folder: The folder, or None to keep nothing.
        conditions: A digest of everything besides the case that affects the results.
    """

    def __init__(self, folder: Path | None, conditions: str) -> None:
        self.folder = folder
        self.conditions = conditions

    def outcome(self, case: Case, checkout: Checkout) -> Outcome:
        """Return the kept outcome of a case, or compute it and keep it if nothing failed."""
        if self.folder is None:
            return checkout.compute(case)
        text = json.dumps([asdict(case), self.conditions])
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = self.folder / f"{case.name.replace('/', '-')}-{key}.json"
        if path.is_file():
            return Outcome(**json.loads(path.read_text(encoding="utf-8")))
        outcome = checkout.compute(case)
        if not outcome.error:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        return outcome


# The command


def main() -> None:
    """Compare the checkouts and print a table."""
    options = arguments()
    every = [*configured_cases(options.before), *made_up_cases()]
    patterns = options.only or ["*"]
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in every):
            names = ", ".join(case.name for case in every)
            sys.exit(f"error: no case {pattern!r}; there are {names}")
    chosen = [c for c in every if any(fnmatchcase(c.name, pattern) for pattern in patterns)]
    if "MTL_DATA" not in os.environ and any(case.needs == "corpora" for case in chosen):
        sys.exit("error: set MTL_DATA to the folder of the corpora, or choose cases with --only")
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.keep or Path(temporary)).resolve()
        before = Checkout("before", options.before, options.before, work)
        after = Checkout("after", options.after, options.before, work)
        code = 1
        try:
            code = compare(options, chosen, before, after)
        finally:
            before.close()
            after.close()
    sys.exit(code)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("before", type=checkout_folder, metavar="BEFORE", help="a checkout")
    parser.add_argument("after", type=checkout_folder, metavar="AFTER", help="another checkout")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="cases, such as 'sharing/*'")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder for the runs")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keeps the results of BEFORE")
    options = parser.parse_args()
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"--keep: {options.keep} is not empty")
    return options


def checkout_folder(text: str) -> Path:
    """Return the absolute path of a checkout."""
    path = Path(text).resolve()
    if not (path / "mtl" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{path} is not a checkout of mtl")
    return path


def compare(
    options: argparse.Namespace, chosen: list[Case], before: Checkout, after: Checkout
) -> int:
    """Compute the cases in both checkouts, print a line for each, and return the exit code."""
    before.inputs.mkdir(parents=True)
    write_inputs(before.inputs)
    prepare(chosen, before)
    one, other = ([path.read_bytes() for path in operators(own.path)] for own in (before, after))
    if one != other:
        counts = f"{len(one)} in BEFORE, {len(other)} in AFTER"
        print(f"note: the files of compiled operators differ ({counts})", file=sys.stderr)
    cache: Path | None = options.cache
    if cache:
        commit = commit_of(before.path)
        if commit is None:
            print("note: BEFORE is not a clean checkout, so --cache is not used", file=sys.stderr)
        cache = cache / commit if commit else None
    kept = Kept(cache, conditions(before.path, before.inputs))
    width = max(len(case.name) for case in chosen)
    print(f"{'case':{width}} {'numbers':>8} {'tensors':>8} {'before':>7} {'after':>7}  difference")
    failed = 0
    for case in chosen:
        outcomes = kept.outcome(case, before), after.compute(case)
        found = list(differences(*outcomes))
        failed += bool(found)
        numbers = sum(type(value) in (int, float) for value in outcomes[0].values.values())
        seconds = " ".join(f"{outcome.seconds:5.0f} s" for outcome in outcomes)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        told = found[0] + more if found else "identical"
        if found:
            listed = "".join(f"{difference}\n" for difference in found)
            (after.folder / case.name / "differences.txt").write_text(listed, encoding="utf-8")
        counts = f"{numbers:8,} {len(outcomes[0].tensors):8,}"
        print(f"{case.name:{width}} {counts} {seconds}  {told}", flush=True)
    print(f"{failed} of {len(chosen)} cases differ" if failed else f"all {len(chosen)} identical")
    return 1 if failed else 0


def prepare(chosen: list[Case], before: Checkout) -> None:
    """Write or fetch the inputs that only some cases need."""
    needs = {case.needs for case in chosen}
    if "transformers" in needs:
        run_python(before.path, "-c", TINY_BERT, str(before.inputs / "bert"))
    if "quickstart" in needs:
        fetch_quickstart(before.path, before.inputs / "quickstart")


def fetch_quickstart(checkout: Path, folder: Path) -> None:
    """Link a folder to the data of the quick start, or fetch the data if no checkout has it."""
    for own in (checkout, Path(__file__).resolve().parent.parent):
        data = own / "data" / "quickstart"
        if len(list(data.glob("*.*"))) >= 6:
            folder.symlink_to(data)
            return
    script = checkout / "scripts" / "quickstart_data.py"
    run_python(checkout, str(script), "--output", str(folder))


def run_python(checkout: Path, *command: str) -> None:
    """Run a Python program that imports a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"error: {command[0]} failed: {done.stderr.strip()}")


if __name__ == "__main__":
    main()

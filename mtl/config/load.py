"""Turn a run file into a complete run: find its corpora, merge and check."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from mtl.config.build import Builder, Kinds, join
from mtl.config.corpus import CorpusConfig, SourceConfig
from mtl.config.corpus_finder import CorpusFinder
from mtl.config.document import IMPLICIT, Node, from_python, load, merge
from mtl.config.overrides import Overrides, override_nodes
from mtl.config.parts import Kind, Misfit, Part
from mtl.config.paths import run_file
from mtl.config.run import FIELDS, SLOTS, BatchConfig, Run, Task
from mtl.config.search import refuse_ranges
from mtl.errors import ConfigError, Place, did_you_mean
from mtl.files import exists
from mtl.registry import OnImport, silently

Complete: TypeAlias = Callable[[Run], Run]
Check: TypeAlias = "Callable[[Run], Iterable[tuple[str, str]]]"
Config: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
"""A run file, or a dictionary with the content of one."""
Given: TypeAlias = "Mapping[str, Mapping[str, Any]]"
"""Corpus to its `reader` and its `files`, for data that a caller passes as Python objects."""
_DATA = {".csv", ".tsv", ".jsonl", ".conll", ".conllu"}
"""Suffixes of data files, which are easily mistaken for run files."""


def load_run(
    config: Config,
    overrides: Overrides = (),
    *,
    kinds: Kinds,
    given: Given | None = None,
    must_exist: bool = True,
    on_import: OnImport | None = silently,
    complete: Complete = lambda run: run,
    check: Check = lambda run: (),
) -> Run:
    """Read a run file, the files that it extends, and its corpus files.

    Args:
        config: The run file, also without `.yaml`, or a dictionary with its content. If there is no
            such file, `configs/NAME.yaml` may be one of the package. Paths in a dictionary are
            relative to the current folder.
        overrides: `["training.epochs=3"]` or `{"training.epochs": 3}`.
        kinds: The registries of embedding, trunk, sharing, head, weighting, mixing, metric,
            reader, optimizer, schedule and average.
        given: Corpus to its reader and files, in place of the files in the configuration.
        must_exist: Whether the files of the corpora must exist; prediction needs none.
        on_import: Allows the import of parts of the user's own; see `Registry.find`. By default
            the run file is the user's own, and its parts are imported.
        complete: Fills in options that depend on other files, such as the sizes of a pretrained
            model. It may raise `Misfit` with the dotted path of a key.
        check: Yields further errors of the run: the dotted path of a key, and the message.

    Raises:
        ConfigError: All errors, one per line, sorted by place; or the file has a range to search.
    """
    folder, root = read_tree(config, overrides)
    refuse_ranges(root)
    return build_run(
        folder,
        root,
        kinds=kinds,
        given=given,
        must_exist=must_exist,
        on_import=on_import,
        complete=complete,
        check=check,
    )


def read_tree(config: Config, overrides: Overrides) -> tuple[Path, Node]:
    """Return the folder of a run file, and its content merged with overrides."""
    folder, root = _read(config)
    return folder, reduce(merge, override_nodes(overrides), root)


def build_run(
    folder: Path,
    root: Node,
    *,
    kinds: Kinds,
    given: Given | None,
    must_exist: bool,
    on_import: OnImport | None,
    complete: Complete,
    check: Check,
) -> Run:
    """Build the run of a tree from `read_tree`; arguments and errors as for `load_run`."""
    builder = Builder(kinds, must_exist=must_exist, on_import=on_import)
    return _RunLoader(folder, root, builder, given or {}).run(complete, check)


def _read(config: Any) -> tuple[Path, Node]:
    """Return the folder and the content of a configuration."""
    if isinstance(config, Mapping):
        return Path(), from_python(config)
    if isinstance(config, str | os.PathLike):
        path = run_file(config)
        if exists(path, Path.is_dir):
            own = path / "run.yaml"
            hint = f"; use the run file in it: {own}" if own.is_file() else ""
            raise ConfigError(f"{path}: expected a run file, found a folder{hint}")
        if path.suffix.lower() in _DATA and exists(path, Path.is_file):
            raise ConfigError(
                f"{path}: expected a run file, found the name of a data file; write a run file "
                f"with: mtl new {path}"
            )
        return path.parent, load(path)
    kind = type(config).__name__
    raise ConfigError(f"config: expected the path of a run file or a dictionary, got {kind}")


def run_to_yaml(run: Run) -> str:
    """Return the complete run as YAML; `load_run` turns it into an equal run."""
    text = yaml.dump(
        run.model_dump(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return str(text)


class Dumper(yaml.SafeDumper):
    """Quotes strings that `mtl.config.document` would read as another type."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal objects in full each time."""
        return True


for _tag, (_pattern, _first) in IMPLICIT.items():
    Dumper.add_implicit_resolver(_tag, _pattern, ["" if c == "\0" else c for c in _first])


class _RunLoader:
    """Builds one run.

    Args:
        folder: The folder of the run file.
        root: The content of the run file, merged with extended files and overrides.
        builder: Builds the values and collects the errors.
        given: Corpus to its reader and files, in place of its own files.
    """

    def __init__(self, folder: Path, root: Node, builder: Builder, given: Given) -> None:
        self.root = root
        self.builder = builder
        self.problems = builder.problems
        self.given = given
        self.corpora = CorpusFinder(builder, self._section("corpora"), folder, given)

    def run(self, complete: Complete, check: Check) -> Run:
        """Return the run, or raise all its errors."""
        section = self._section("tasks").items()
        tasks: dict[str, Any] = {name: self._task(name, node) for name, node in section}
        # Corpora without a task are not part of the run, but their errors are reported.
        for name, node in self._section("corpora").items():
            self.corpora.get(name, node)
        values: dict[str, Any] = {"embedding": self._embedding(), "tasks": tasks}
        self._check_tasks(tasks)
        self._check_metric(tasks)
        self._check_given()
        # The section `training` may be missing, since all its keys have defaults.
        root = merge(Node({"training": Node({}, self.root.place)}, self.root.place), self.root)
        values |= self.builder.fields(Run, root, "", but=("embedding", "tasks", "corpora"))
        self.problems.check()
        values["corpora"] = {t.corpus: self.corpora.get(t.corpus, root)[1] for t in tasks.values()}
        run = self._completed(Run(**values), complete)
        for path, message in check(run):
            self.problems.add(self._place(path), path, f"{path}: {message}")
        self.problems.check()
        return run

    def _completed(self, run: Run, complete: Complete) -> Run:
        try:
            return complete(run)
        except Misfit as misfit:
            path = misfit.field
            self.problems.add(self._place(path), path, f"{path}: {misfit}")
            self.problems.check()
            raise

    def _place(self, path: str) -> Place:
        """Return the place of a key of the run, or of the nearest key above it in the file."""
        node = self.root
        for name in path.split("."):
            if not node.is_mapping or name not in node.value:
                break
            node = node.value[name]
        return node.place

    def _section(self, name: str) -> dict[str, Node]:
        """Return the entries of a section of the run that are not null."""
        node = self.root.value.get(name)
        written = node is not None and node.value is not None
        children = self.builder.mapping(node, name) if written else {}
        # `tasks.ner=null` removes a task of an extended file.
        entries = {key: child for key, child in children.items() if child.value is not None}
        optional = name == "corpora" or (name == "embedding" and written)
        if not entries and not optional:
            self.builder.missing(self.root, name)
        return entries

    def _embedding(self) -> dict[str, Part | None]:
        slots = self._section("embedding")
        self.builder.refuse_unknown(slots, SLOTS, "embedding")
        return {slot: self._slot(slot, node) for slot, node in slots.items() if slot in SLOTS}

    def _slot(self, slot: str, node: Node) -> Part | None:
        path = f"embedding.{slot}"
        part = self.builder.part(Kind("embedding", SLOTS[slot]), node, path)
        if part:
            feature = self.builder.kinds["embedding"].find(part.type).vocabulary.feature
            if feature != slot:
                message = f"{path}: {part.type!r} reads {feature}, not {slot}"
                self.problems.add(node.place, path, message)
        return part

    # ---- tasks

    def _task(self, name: str, node: Node) -> Task | None:
        """Build a task: the defaults of its corpus, overridden by the run."""
        before, path = self.problems.count, f"tasks.{name}"
        # Task names are parts of override keys, state-dict keys and names of folders.
        if not re.fullmatch(r"[A-Za-z]\w*(-\w+)*", name):
            message = f"task name {name!r}: expected a letter, then letters, digits, - and _"
            self.problems.add(node.key or node.place, path, message)
        if name in FIELDS:
            message = f"task name {name!r}: predictions have a field of this name; choose another"
            self.problems.add(node.key or node.place, path, message)
        values = self.builder.fields(Task, node, path, but=("head", "metric"))
        used = self._use(node, path)
        for part in ("head", "metric"):
            values[part] = self._task_part(part, node, used and used[0], name)
        if used is None or used[1] is None or self.problems.count > before:
            return None
        corpus, offered = used[1], used[1].tasks[values["use"].rpartition("/")[2]]
        values |= {"corpus": corpus.name, "source": offered.labels, "scheme": offered.scheme}
        if "where" in values:
            values["criteria"] = self._criteria(node.value["where"], f"{path}.where", corpus)
        return self.builder.finish(Task, values, node, path)

    def _criteria(self, where: Node, path: str, corpus: CorpusConfig) -> dict[str, SourceConfig]:
        """Return the label sources of the tasks that the filter `where` of a task refers to."""
        known = corpus.tasks
        self.builder.refuse_unknown(where.value, corpus.split_names, path)
        names: set[str] = set()
        for split, chosen in where.value.items():
            if chosen.value is not None:
                self.builder.refuse_unknown(chosen.value, known, join(path, split))
                names |= chosen.value.keys()
        return {name: known[name].labels for name in known if name in names}

    def _use(self, node: Node, path: str) -> tuple[Node, CorpusConfig | None] | None:
        """Return the node of the task in its corpus file, and the corpus or None on errors."""
        use = node.value.get("use") if node.is_mapping else None
        if use is None or not isinstance(use.value, str):
            return None
        name, _, label = use.value.rpartition("/")
        if not name:
            message = f"{path}.use: expected CORPUS/TASK, got {use.value!r}"
            self.problems.add(use.place, f"{path}.use", message)
            return None
        written, corpus = self.corpora.get(name, use)
        tasks = written.value.get("tasks") if written else None
        if tasks is None or not tasks.is_mapping:
            return None
        known = {key: child for key, child in tasks.value.items() if child.value is not None}
        if label not in known:
            message = f"corpus {name!r} has no task {label!r}{did_you_mean(label, known)}"
            self.problems.add(use.place, f"{path}.use", message)
            return None
        return known[label], corpus

    def _task_part(self, part: str, node: Node, offered: Node | None, task: str) -> Any:
        """Build the head or metric of a task: the default of the corpus, overridden by the run."""
        written, default = (
            n.value.get(part, _NOTHING) if n and n.is_mapping else _NOTHING for n in (node, offered)
        )
        if written.value is None:
            written = default
        elif default.value is not None:
            written = merge(default, written)
        # A string is the name of a task first, and of a type of head second.
        if part == "head" and isinstance(written.value, str) and written.value != task:
            other = self.root.value["tasks"].value.get(written.value)
            if other is not None and other.value is not None:
                return written.value
        if written.value is None or (offered is None and not _has_type(written)):
            return None  # The missing corpus is reported; its default part is unknown.
        return self.builder.part(Kind(part), written, f"tasks.{task}.{part}")

    # ---- checks of fields against each other

    def _check_tasks(self, tasks: dict[str, Task | None]) -> None:
        batches: dict[str, tuple[str, BatchConfig]] = {}
        for name, task in tasks.items():
            if task is None:
                continue
            node = self.root.value["tasks"].value[name].value
            if task.batch:
                other, batch = batches.setdefault(task.corpus, (name, task.batch))
                if batch != task.batch:
                    # All tasks of a corpus are trained on the same batches.
                    message = f"tasks {other!r} and {name!r} share the batches of {task.corpus!r}"
                    message = f"{message}; set the same batch size for both"
                    self.problems.add(node["batch"].place, f"tasks.{name}.batch", message)
            shared = tasks.get(task.head) if isinstance(task.head, str) else None
            if shared and isinstance(shared.head, str):
                message = f"tasks.{name}.head: {task.head!r} has no head of its own"
                message = f"{message}; use {shared.head!r}, whose head it shares"
                self.problems.add(node["head"].place, f"tasks.{name}.head", message)

    def _check_metric(self, tasks: dict[str, Task | None]) -> None:
        training = self.root.value.get("training")
        metric = training.value.get("metric") if training and training.is_mapping else None
        if metric is None or not isinstance(metric.value, str) or metric.value == "mean":
            return
        # `check` compares the score with the scores of the metric, when the run is complete.
        task, _, score = metric.value.partition(".")
        if task not in tasks or not score:
            near = "" if task in tasks else did_you_mean(task, [*tasks, "mean"])
            got = metric.value
            message = f"training.metric: expected mean, TASK.SCORE or TASK.loss, got {got!r}"
            self.problems.add(metric.place, "training.metric", message + near)

    def _check_given(self) -> None:
        tasks = self._section("tasks").values()
        uses = [node.value.get("use") for node in tasks if node.is_mapping]
        used = {str(use.value).rpartition("/")[0] for use in uses if use is not None}
        for name in self.given.keys() - used:
            message = f"no task uses a corpus {name!r}{did_you_mean(name, used)}"
            self.problems.add(Place(f"data[{name!r}]"), name, message)


_NOTHING = Node(None, Place(""))


def _has_type(node: Node) -> bool:
    return isinstance(node.value, str) or (node.is_mapping and "type" in node.value)

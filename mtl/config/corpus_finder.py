"""Find the corpora of a run, merge them with the settings of the run, and check them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from mtl.config.build import Builder, join
from mtl.config.corpus import CorpusConfig
from mtl.config.document import DocumentError, Node, load, merge, python_node
from mtl.config.paths import corpus_folders, find_file
from mtl.config.run import Run
from mtl.errors import ConfigError, Place, did_you_mean
from mtl.files import exists
from mtl.options import File

_ONLY_IN_RUNS = set(Run.model_fields) - set(CorpusConfig.model_fields)
# A corpus with all required keys in the run file is complete, and no corpus file is searched.
_WHOLE = {name for name, field in CorpusConfig.model_fields.items() if field.is_required()} - {
    "name"
}


class CorpusFinder:
    """Finds and builds corpora by name, each once.

    Args:
        builder: Builds the values and collects the errors.
        inline: The section `corpora` of the run file: complete corpora, with reader, files and
            tasks, or changes to corpus files.
        folder: The folder of the run file.
        given: Corpus to its reader and files, for data that a caller passes. They replace the
            files of the configuration. Options that both readers have are kept.
    """

    def __init__(
        self,
        builder: Builder,
        inline: Mapping[str, Node],
        folder: Path,
        given: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.given = {name: _given(name, keys) for name, keys in given.items()}
        self.builder = builder
        self.problems = builder.problems
        self.inline = inline
        self.folder = folder
        self._found: dict[str, tuple[Node | None, CorpusConfig | None]] = {}

    def get(self, name: str, user: Node) -> tuple[Node | None, CorpusConfig | None]:
        """Return the node and the configuration of a corpus; None instead of each with errors.

        Args:
            name: The name of the corpus.
            user: The node that names the corpus; the search starts around the file of this node.
        """
        if name not in self._found:
            try:
                self._found[name] = self._build(name, user)
            except DocumentError as error:
                self.problems.add_error(error)
                self._found[name] = (None, None)
        return self._found[name]

    def _build(self, name: str, user: Node) -> tuple[Node | None, CorpusConfig | None]:
        inline = self.inline.get(name)
        path = f"corpora.{name}" if inline else ""
        given = self.given.get(name)
        needed = _WHOLE - set(given.value if given else ())
        if inline and (not inline.is_mapping or set(inline.value) >= needed):
            node = inline
        elif inline:
            file = self._find(name, user)
            node = merge(file, inline) if file else inline
        else:
            node = self._find(name, user) or self._missing(name, user)
        before = self.problems.count
        if not node.is_mapping:
            self.builder.mapping(node, path)
            return None, None
        if given:
            node = merge(node, given)
            node = replace(node, value={**node.value, "files": given.value["files"]})
        values = self.builder.fields(CorpusConfig, node, path, but=("files",))
        if files := node.value.get("files"):
            values["files"] = self._files(files, join(path, "files"), node)
        else:
            self.builder.missing(node, join(path, "files"))
        if self.problems.count > before:
            return node, None
        return node, self.builder.finish(CorpusConfig, {**values, "name": name}, node, path)

    def _find(self, name: str, user: Node) -> Node | None:
        """Return the content of the nearest corpus file with this name, or None."""
        folders = corpus_folders([user.folder, self.folder])
        runs = []
        for file in (folder / f"{name}.yaml" for folder in folders):
            if exists(file, Path.is_file):
                node = load(file)
                if not _is_run(node):
                    return node
                runs.append(str(file))
        if runs:
            message = f"{name!r} is a run file ({runs[0]}); expected a corpus file"
            raise DocumentError(user.place, message)
        return None

    def _missing(self, name: str, user: Node) -> NoReturn:
        folders = corpus_folders([user.folder, self.folder])
        known = {file.stem for folder in folders[1:] for file in folder.glob("*.yaml")}
        near = did_you_mean(name, {*known, *self.inline})
        places = ", ".join(map(str, folders))
        raise DocumentError(user.place, f"no corpus {name!r} in {places}{near}")

    def _files(self, node: Node, path: str, corpus: Node) -> dict[str, list[str]]:
        """Return the files of each split, as absolute paths if the reader reads files."""
        files = {}
        for split, child in self.builder.mapping(node, path).items():
            if child.value is None:
                continue
            is_single = isinstance(child.value, str)
            names = [child] if is_single else child.children
            if not names or child.is_mapping or not all(isinstance(n.value, str) for n in names):
                message = f"{join(path, split)}: expected a path or a list of paths"
                self.problems.add(child.place, join(path, split), message)
                continue
            files[split] = [self._file(n, join(path, split), corpus) for n in names]
        return files

    def _file(self, node: Node, path: str, corpus: Node) -> str:
        if not self._reads_files(corpus):
            return str(node.value)
        try:
            return find_file(node, self.builder.must_exist, File())
        except ConfigError as error:
            self.problems.add(node.place, path, f"{path}: {error}")
            return ""

    def _reads_files(self, corpus: Node) -> bool:
        """Return whether `files` of a corpus contains paths, and not names of another kind."""
        reader = corpus.value["reader"].plain() if "reader" in corpus.value else None
        name = reader.get("type") if isinstance(reader, dict) else reader
        try:
            return getattr(self.builder.kinds["reader"].find(str(name)), "reads_files", True)
        except ConfigError:
            return False  # The unknown reader is reported; errors about its files would mislead.


def _given(name: str, keys: Mapping[str, Any]) -> Node:
    """Return the reader and the files of data that a caller passes."""
    place = Place(f"data[{name!r}]")
    return python_node(keys, lambda _: place)


def _is_run(node: Node) -> bool:
    """Return whether a file is a run file, and so not a corpus file."""
    if "reader" in node.value:
        return False
    tasks = node.value.get("tasks")
    uses = (task.is_mapping and "use" in task.value for task in (tasks.children if tasks else []))
    return bool(_ONLY_IN_RUNS & set(node.value)) or any(uses)

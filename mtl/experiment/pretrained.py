"""What a run takes from the pretrained transformer that its trunk names."""

from __future__ import annotations

from collections.abc import Iterator

from mtl.config.parts import Misfit, Part
from mtl.config.run import Run
from mtl.embeddings import TransformerEmbedding
from mtl.errors import ConfigError
from mtl.hub import read_sizes, read_weights
from mtl.model import MultiTaskModel
from mtl.trunks import TRUNKS, TransformerTrunk

MARKS = 2
"""Places that the marks around a sentence take."""


def reads_subwords(run: Run) -> bool:
    """Return whether the trunk is a pretrained transformer, which reads subwords, not words."""
    return _is_transformer(run) and run.trunk.options["name"] is not None


def _is_transformer(run: Run) -> bool:
    return issubclass(TRUNKS.find(run.trunk.type), TransformerTrunk)


def with_sizes(run: Run) -> Run:
    """Return a run with the sizes of its pretrained transformer, if it has one, written out.

    Raises:
        Misfit: The model cannot be read, or the run wants other sizes than it has.
    """
    options = run.trunk.options
    if not reads_subwords(run) or None not in options.values():
        return run
    try:
        sizes = read_sizes(options["name"])
    except ConfigError as error:
        raise Misfit("trunk.name", str(error)) from error
    for name, size in sizes.items():
        written = options[name]
        fewer = name == "num_layers" and written is not None and written < size
        if written not in (None, size) and not fewer:
            message = f"{options['name']} has {size}, got {written}; leave it out"
            raise Misfit(f"trunk.{name}", message)
    given = {name: value for name, value in options.items() if value is not None}
    trunk = Part(type=run.trunk.type, options={**options, **sizes, **given})
    return run.model_copy(update={"trunk": trunk})


def mistakes(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what does not go with the trunk, or with what it reads: key and message."""
    if reads_subwords(run) and run.embedding:
        yield (
            "embedding",
            "a pretrained transformer has its own; set it to {}, or its slots to null",
        )
    if not reads_subwords(run) and not run.embedding:
        yield "embedding", "expected at least one of its slots, such as words: {}"
    if not _is_transformer(run):
        return
    for name, task in run.tasks.items():
        if task.source.text not in (None, "same"):
            yield (
                f"tasks.{name}",
                "a transformer has seen the words on both sides of a word, and so the one that a "
                "language model is to give; take another trunk",
            )
    positions = run.trunk.options["positions"]
    limit = positions and positions - MARKS * reads_subwords(run)
    if limit and run.training.max_length > limit:
        yield (
            "training.max_length",
            f"the transformer has room for {limit} words, got {run.training.max_length}",
        )


def set_pretrained(run: Run, model: MultiTaskModel) -> None:
    """Give a fresh model the weights of the pretrained transformer.

    Raises:
        ConfigError: They cannot be read, or do not fit.
    """
    name = run.trunk.options["name"]
    vectors, tensors = read_weights(name)
    assert isinstance(model.embedding, TransformerEmbedding)
    try:
        model.embedding.load_vectors(vectors)
    except ValueError as error:
        raise ConfigError(f"trunk.name: {name}: {error}") from error
    for module in model.sharing.modules():
        if isinstance(module, TransformerTrunk):
            module.load_state_dict({key: tensors[key] for key in module.state_dict()})

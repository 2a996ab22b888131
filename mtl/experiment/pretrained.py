"""What a run takes from the pretrained transformer that its trunk names."""

from __future__ import annotations

from mtl.config.parts import Misfit, Part
from mtl.config.run import Run
from mtl.embeddings import TransformerEmbedding
from mtl.errors import ConfigError
from mtl.model import MultiTaskModel
from mtl.text.transformers_hub import read_sizes, read_weights
from mtl.trunks import TRUNKS, TransformerTrunk

MARKS = 2
"""Places that the marks around a sentence take."""


def reads_subwords(run: Run) -> bool:
    """Return whether the trunk is a pretrained transformer, which reads subwords, not words."""
    return is_transformer(run) and run.trunk.options["name"] is not None


def is_transformer(run: Run) -> bool:
    """Return whether the trunk is a transformer, pretrained or not."""
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

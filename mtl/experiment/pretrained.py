"""Sizes and weights of the pretrained model that the trunk of a run names."""

from __future__ import annotations

from mtl.config.parts import Misfit, Part
from mtl.config.run import Run
from mtl.embeddings import TransformerEmbedding
from mtl.errors import ConfigError, OptionError
from mtl.model import MultiTaskModel
from mtl.text.transformers_hub import read_sizes, read_weights
from mtl.trunks import TRUNKS, Trunk


def pretrained_name(run: Run) -> str | None:
    """Return the pretrained model of the trunk, by its folder or its name; None: none."""
    return TRUNKS.find(run.trunk.type).pretrained(run.trunk.options)


def reads_subwords(run: Run) -> bool:
    """Return whether the trunk is a pretrained model, which reads subwords instead of words."""
    return pretrained_name(run) is not None


def with_sizes(run: Run) -> Run:
    """Return a run with the sizes of its pretrained model, if it has one, written out.

    Raises:
        Misfit: The model cannot be read, or the run asks for other sizes.
    """
    cls, part, name = TRUNKS.find(run.trunk.type), run.trunk, pretrained_name(run)
    if name is None or None not in part.options.values():
        return run
    try:
        options = cls.with_sizes(part.options, read_sizes(name))
    except ConfigError as error:
        raise Misfit(_path(run), str(error)) from error
    except OptionError as error:
        raise Misfit(f"trunk.{error.option}", error.message) from error
    return run.model_copy(update={"trunk": Part(type=part.type, options=options)})


def set_pretrained(run: Run, model: MultiTaskModel) -> None:
    """Copy the weights of the pretrained model into a new model.

    Raises:
        ConfigError: They cannot be read, or do not fit.
    """
    name = pretrained_name(run)
    assert name is not None
    assert isinstance(model.embedding, TransformerEmbedding)
    vectors, tensors = read_weights(name)
    try:
        model.embedding.load_vectors(vectors)
    except ValueError as error:
        raise ConfigError(f"{_path(run)}: {name}: {error}") from error
    for module in model.sharing.modules():
        if isinstance(module, Trunk):
            module.load_pretrained(tensors)


def _path(run: Run) -> str:
    """Return the dotted path of the option that names the pretrained model."""
    *_, option = TRUNKS.find(run.trunk.type).loading_options(run.trunk.options)
    return f"trunk.{option}"

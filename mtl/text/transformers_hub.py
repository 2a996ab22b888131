"""Pretrained transformers in the format of the library `transformers`.

The library is needed only to read a model: run folders contain the sizes, tokenizer and weights.
Weights are read from safetensors files only. Nothing is unpickled, and no code of a model is run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.errors import ConfigError, not_installed
from mtl.files import exists

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

_FIRST_POSITION = {"bert": 0, "roberta": 2, "xlm-roberta": 2, "camembert": 2}
"""Model types of the BERT architecture, and the number of positions that no token uses.

RoBERTa counts positions from the id of its padding token plus one.
"""
_TIMEOUT = 5
"""Seconds to wait for an answer of the hub."""
_SAFE = {"trust_remote_code": False}  # never run Python code of a model repository
_SIZES = {
    "num_layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "num_heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "positions": "max_position_embeddings",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
}
"""Option of the trunk to its name in the configuration of a model."""
_PARTS = {
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}
"""Submodule of a layer of the trunk to its name in the weights of a model."""


def read_sizes(name: str) -> dict[str, Any]:
    """Return the options of `mtl.trunks.TransformerTrunk` that a model determines.

    Args:
        name: The folder of the model, or its name on the Hugging Face hub.

    Raises:
        ConfigError: The model does not exist or has another architecture, or `transformers` is
            not installed.
    """
    config = _read(
        name,
        lambda library, **options: library.AutoConfig.from_pretrained(name, **_SAFE, **options),
    )
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if config.model_type not in _FIRST_POSITION or not absolute or config.is_decoder:
        known = ", ".join(_FIRST_POSITION)
        raise ConfigError(
            f"{name!r} has the architecture {config.model_type!r}; expected an encoder with "
            f"absolute positions, one of: {known}"
        )
    sizes: dict[str, Any] = {ours: getattr(config, theirs) for ours, theirs in _SIZES.items()}
    if sizes["activation"] not in ("gelu", "relu"):
        raise ConfigError(
            f"{name!r} has the activation {sizes['activation']!r}; expected gelu or relu"
        )
    return {**sizes, "positions": sizes["positions"] - _FIRST_POSITION[config.model_type]}


def read_tokenizer(name: str) -> tuple[Tokenizer, str]:
    """Return the tokenizer of a model, set up for single words, and its unknown subword.

    Args:
        name: The folder of the model, or its name on the Hugging Face hub.

    Raises:
        ConfigError: The model has no tokenizer in the format of `tokenizers`.
    """
    wrapper = _read(
        name,
        lambda library, **options: library.AutoTokenizer.from_pretrained(
            name,
            # Words are encoded one by one. RoBERTa marks the start of a word by its blank, so
            # every word needs one.
            add_prefix_space=True,
            **_SAFE,
            **options,
        ),
    )
    if not wrapper.is_fast:
        raise ConfigError(
            f"{name!r} has no tokenizer.json; expected a tokenizer in the format of tokenizers"
        )
    tokenizer: Tokenizer = wrapper.backend_tokenizer
    # Long texts are split into windows and padded per batch elsewhere.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, str(wrapper.unk_token)


def read_weights(name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the subword embeddings of a model `[V, H]` and the state dict of the trunk.

    Args:
        name: The folder of the model, or its name on the Hugging Face hub.

    Raises:
        ConfigError: The model has no weights in a safetensors file.
    """
    import torch

    model = _read(
        name,
        lambda library, **options: library.AutoModel.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, **_SAFE, **options
        ),
    )
    theirs: dict[str, Tensor] = {key: value.detach() for key, value in model.state_dict().items()}
    positions = theirs["embeddings.position_embeddings.weight"]
    first = _FIRST_POSITION[model.config.model_type]
    token_type = theirs["embeddings.token_type_embeddings.weight"][0]
    # Every token has type 0, whose vector is added at every position: fold it into the positions.
    ours = {"positions.weight": positions[first:] + token_type}
    # One product computes queries, keys and values, so their weights are concatenated.
    for end in ("weight", "bias"):
        ours[f"norm.{end}"] = theirs[f"embeddings.LayerNorm.{end}"]
        for i in range(model.config.num_hidden_layers):
            to, source = f"layers.{i}", f"encoder.layer.{i}"
            ours[f"{to}.project.{end}"] = torch.cat(
                [theirs[f"{source}.attention.self.{p}.{end}"] for p in ("query", "key", "value")]
            )
            for part, other in _PARTS.items():
                ours[f"{to}.{part}.{end}"] = theirs[f"{source}.{other}.{end}"]
    return theirs["embeddings.word_embeddings.weight"], ours


def _read(name: str, read: Callable[..., Any]) -> Any:
    """Call `read` with the library `transformers`; raise its errors as one-line ConfigErrors.

    A model that was downloaded before is read without the network.
    """
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(not_installed(repr(name), "transformers", error)) from error
    # Its progress bars would mix with the display of training.
    transformers.utils.logging.disable_progress_bar()
    failures = (OSError, ValueError, KeyError, ImportError)
    if not exists(Path(name)):
        with suppress(*failures):
            return read(transformers, local_files_only=True)
        if reason := unreachable():
            raise ConfigError(
                f"{name!r} cannot be read: no such folder, not downloaded before, and {reason}"
            )
    try:
        return read(transformers)
    except failures as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name!r} cannot be read: {reason}") from error


def unreachable() -> str | None:
    """Return why the Hugging Face hub cannot be reached, or None if it can be.

    Its own library tries for half a minute.
    """
    from huggingface_hub import constants, utils

    try:
        session = utils.get_session()  # type: ignore[attr-defined]
        session.head(constants.ENDPOINT, timeout=_TIMEOUT)
    except Exception as error:  # each version of the library has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"{constants.ENDPOINT} cannot be reached ({reason})"
    return None

"""Transformers that others trained, as files of the library `transformers`.

The library is needed to read them, and for nothing else: a run folder keeps what was read. Weights
are read from safetensors files alone, so nothing is unpickled, and no code of a model is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mtl.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

_FIRST_POSITION = {"bert": 0, "roberta": 2, "xlm-roberta": 2, "camembert": 2}
"""Families of the same form, and how many of their positions no token has."""
_SAFE = {"trust_remote_code": False}
_SIZES = {
    "num_layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "num_heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "positions": "max_position_embeddings",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
}
"""Options of the trunk, and what the configuration of a model calls them."""
_PARTS = {
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}
"""Parts of our layer, and what a model calls them."""


def read_sizes(name: str) -> dict[str, Any]:
    """Return the options of `mtl.trunks.TransformerTrunk` that a model fixes.

    Args:
        name: Its folder, or its name on the hub.

    Raises:
        ConfigError: There is no such model, it has another form, or `transformers` is missing.
    """
    config = _read(name, lambda library: library.AutoConfig.from_pretrained(name, **_SAFE))
    absolute = getattr(config, "position_embedding_type", "absolute") == "absolute"
    if config.model_type not in _FIRST_POSITION or not absolute or config.is_decoder:
        known = ", ".join(_FIRST_POSITION)
        raise ConfigError(
            f"{name!r} has the form of {config.model_type!r}; expected an batcher with absolute "
            f"positions, one of: {known}"
        )
    sizes: dict[str, Any] = {ours: getattr(config, theirs) for ours, theirs in _SIZES.items()}
    if sizes["activation"] not in ("gelu", "relu"):
        raise ConfigError(f"{name!r} has the activation {sizes['activation']!r}, not gelu or relu")
    return {**sizes, "positions": sizes["positions"] - _FIRST_POSITION[config.model_type]}


def read_tokenizer(name: str) -> tuple[Tokenizer, str]:
    """Return the tokenizer of a model, which cuts single words, and its unknown subword.

    Args:
        name: Its folder, or its name on the hub.

    Raises:
        ConfigError: There is none that `tokenizers` can run.
    """
    made = _read(
        name,
        lambda library: library.AutoTokenizer.from_pretrained(
            name,
            add_prefix_space=True,  # where a blank tells the begin of a word, every word gets one
            **_SAFE,
        ),
    )
    if not made.is_fast:
        raise ConfigError(f"{name!r} has no tokenizer.json; expected one in the form of tokenizers")
    tokenizer: Tokenizer = made.backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, str(made.unk_token)


def read_weights(name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the vectors of all subwords `[V, H]`, and the tensors of the trunk by our names.

    Args:
        name: Its folder, or its name on the hub.

    Raises:
        ConfigError: There are no weights in a safetensors file.
    """
    import torch

    model = _read(
        name,
        lambda library: library.AutoModel.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, **_SAFE
        ),
    )
    theirs: dict[str, Tensor] = {key: value.detach() for key, value in model.state_dict().items()}
    places = theirs["embeddings.position_embeddings.weight"]
    first = _FIRST_POSITION[model.config.model_type]
    kind = theirs["embeddings.token_type_embeddings.weight"][0]
    # All our tokens are of the first kind, whose vector is added to every token as places are.
    ours = {"positions.weight": places[first:] + kind}
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


def _read(name: str, read: Callable[[Any], Any]) -> Any:
    """Return what the library reads, or tell in one line why it cannot."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            f"{name!r} is read by a library that is not installed ({error}); "
            "pip install 'mtl[transformers]'"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    try:
        return read(transformers)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name!r} cannot be read: {reason}") from error

"""Pretrained transformers in the format of the library `transformers`.

The library is needed only to read a model: run folders contain the sizes, tokenizer and weights.
Weights are read from safetensors files only. Nothing is unpickled, and no code of a model is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mtl.errors import ConfigError, not_installed
from mtl.files import exists

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

_TIMEOUT = 5
"""Seconds to wait for an answer of the hub."""
_BUCKETS = 32
"""The buckets of relative positions in `mtl.layers.transformer`."""
_SAFE = {"trust_remote_code": False}  # never run Python code of a model repository


class _Form(NamedTuple):
    """The names that a type of model gives to sizes and weights, and its positions.

    Args:
        sizes: Option of the trunk to its name in the configuration.
        layers: The name of the list of layers.
        project: The matrices of queries, keys and values in a layer, in this order.
        parts: Submodule of a layer of the trunk to its name in a layer of the model.
        first_position: The number of positions that no token uses: RoBERTa and MPNet count
            positions from the id of their padding token plus one.
        relative_positions: Whether the layers share a bias of relative positions.
    """

    sizes: Mapping[str, str]
    layers: str
    project: tuple[str, str, str]
    parts: Mapping[str, str]
    first_position: int = 0
    relative_positions: bool = False


_SIZES = {
    "num_layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "num_heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "positions": "max_position_embeddings",
    "activation": "hidden_act",
    "epsilon": "layer_norm_eps",
}
_BERT = _Form(
    sizes=_SIZES,
    layers="encoder.layer",
    project=("attention.self.query", "attention.self.key", "attention.self.value"),
    parts={
        "output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "widen": "intermediate.dense",
        "narrow": "output.dense",
        "norm": "output.LayerNorm",
    },
)
_ROBERTA = _BERT._replace(first_position=2)
_MPNET = _ROBERTA._replace(
    project=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    parts={
        **_BERT.parts,
        "output": "attention.attn.o",
        "attention_norm": "attention.LayerNorm",
    },
    relative_positions=True,
)
_DISTILBERT = _Form(
    # Its configuration has no epsilon, which is 1e-12.
    sizes={
        **{option: name for option, name in _SIZES.items() if option != "epsilon"},
        "feed_forward": "hidden_dim",
        "activation": "activation",
    },
    layers="transformer.layer",
    project=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    parts={
        "output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "widen": "ffn.lin1",
        "narrow": "ffn.lin2",
        "norm": "output_layer_norm",
    },
)
_FORMS = {
    "bert": _BERT,
    "distilbert": _DISTILBERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "mpnet": _MPNET,
}
"""Model types that `mtl.trunks.TransformerTrunk` computes exactly."""
_BIAS = "encoder.relative_attention_bias.weight"


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
    form = _FORMS.get(config.model_type)
    if form is None or not absolute or getattr(config, "is_decoder", False):
        raise ConfigError(
            f"{name!r} has the architecture {config.model_type!r}; expected an encoder with "
            f"absolute positions, one of: {', '.join(_FORMS)}"
        )
    buckets = getattr(config, "relative_attention_num_buckets", _BUCKETS)
    if form.relative_positions and buckets != _BUCKETS:
        raise ConfigError(
            f"{name!r} has {buckets} buckets of relative positions; expected {_BUCKETS}"
        )
    sizes = {"epsilon": 1e-12, **{own: getattr(config, key) for own, key in form.sizes.items()}}
    if sizes["activation"] not in ("gelu", "relu"):
        raise ConfigError(
            f"{name!r} has the activation {sizes['activation']!r}; expected gelu or relu"
        )
    return {
        **sizes,
        "positions": sizes["positions"] - form.first_position,
        "relative_positions": form.relative_positions,
    }


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
    form = _FORMS[model.config.model_type]
    positions = theirs["embeddings.position_embeddings.weight"][form.first_position :]
    # Every token has type 0, whose vector is added at every position: fold it into the positions.
    if (types := theirs.get("embeddings.token_type_embeddings.weight")) is not None:
        positions = positions + types[0]
    ours = {"positions.weight": positions}
    if form.relative_positions:
        ours["bias.table.weight"] = theirs[_BIAS]
    # One product computes queries, keys and values, so their weights are concatenated.
    for end in ("weight", "bias"):
        ours[f"norm.{end}"] = theirs[f"embeddings.LayerNorm.{end}"]
        for i in range(model.config.num_hidden_layers):
            to, source = f"layers.{i}", f"{form.layers}.{i}"
            ours[f"{to}.project.{end}"] = torch.cat(
                [theirs[f"{source}.{part}.{end}"] for part in form.project]
            )
            for part, other in form.parts.items():
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

"""Tiny pretrained transformers: random weights, and the tokenizers that belong to their form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

WORDS = ["the", "cat", "dog", "sat", "ran", "up", "w", "Ada"]
PIECES = [*"abcdefghijklmnopqrstuvwxyz0123456789", *(f"##{c}" for c in "abcdeglnorstuw0123456789")]
SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 10,
    "initializer_range": 0.5,
    "layer_norm_eps": 1e-3,
}


def bert(folder: Path, **changes: Any) -> Path:
    """Write a BERT with 24 positions, whose subwords are letters and a few words."""
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {subword: n for n, subword in enumerate([*marks, *WORDS, *PIECES])}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary, do_lower_case=False)
    size = 1 + max(vocabulary.values())
    config = transformers.BertConfig(
        vocab_size=size, max_position_embeddings=24, **{**SIZES, **changes}
    )
    return written(folder, tokenizer, transformers.BertModel(config))


def roberta(folder: Path) -> Path:
    """Write a RoBERTa with 24 positions, whose subwords are bytes."""
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    from tokenizers.pre_tokenizers import ByteLevel

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {subword: n for n, subword in enumerate([*marks, *letters, "Ġc", "Ġca"])}
    merges = [("Ġ", "c"), ("Ġc", "a")]
    tokenizer = transformers.RobertaTokenizer(vocab=vocabulary, merges=merges)
    config = transformers.RobertaConfig(
        vocab_size=len(vocabulary), max_position_embeddings=26, pad_token_id=1, **SIZES
    )
    return written(folder, tokenizer, transformers.RobertaModel(config))


def distilbert(folder: Path) -> Path:
    """Write a DistilBERT with 24 positions and the subwords of `bert`."""
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    bert(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.DistilBertConfig(
        vocab_size=1 + max(tokenizer.get_vocab().values()),
        max_position_embeddings=24,
        dim=12,
        n_layers=3,
        n_heads=2,
        hidden_dim=10,
        activation="relu",
        initializer_range=0.5,
    )
    return written(folder, tokenizer, transformers.DistilBertModel(config))


def mpnet(folder: Path, **changes: Any) -> Path:
    """Write an MPNet with 300 positions, of which 298 are for tokens."""
    transformers = pytest.importorskip("transformers", reason="needs mtl[transformers]")
    marks = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    vocabulary = {subword: n for n, subword in enumerate([*marks, *WORDS, *PIECES])}
    tokenizer = transformers.MPNetTokenizer(
        vocab=vocabulary, do_lower_case=False, unk_token="[UNK]"
    )
    config = transformers.MPNetConfig(
        vocab_size=1 + max(vocabulary.values()), max_position_embeddings=300, **{**SIZES, **changes}
    )
    return written(folder, tokenizer, transformers.MPNetModel(config))


def written(folder: Path, tokenizer: Any, model: Any) -> Path:
    """Save both as their library does."""
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder

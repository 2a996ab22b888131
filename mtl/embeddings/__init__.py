"""Embeddings: from tokens to vectors."""

from mtl.embeddings.affixes import AffixEmbedding
from mtl.embeddings.base import Embedding, EmbeddingOutput, InputEmbedding
from mtl.embeddings.characters import CharacterCNN, CharacterLSTM
from mtl.embeddings.concatenation import Concatenation
from mtl.embeddings.corpora import CorpusVectors
from mtl.embeddings.gazetteers import GazetteerEmbedding
from mtl.embeddings.ngrams import NgramEmbedding
from mtl.embeddings.subwords import SubwordEmbedding
from mtl.embeddings.transformer import TransformerEmbedding
from mtl.embeddings.words import WordEmbedding
from mtl.registry import Registry

EMBEDDINGS: Registry[Embedding] = Registry(
    "embedding",
    Embedding,
    {
        "words": WordEmbedding,
        "cnn": CharacterCNN,
        "lstm": CharacterLSTM,
        "affixes": AffixEmbedding,
        "ngrams": NgramEmbedding,
        "subwords": SubwordEmbedding,
        "gazetteers": GazetteerEmbedding,
    },
)

__all__ = [
    "EMBEDDINGS",
    "AffixEmbedding",
    "CharacterCNN",
    "CharacterLSTM",
    "Concatenation",
    "CorpusVectors",
    "Embedding",
    "EmbeddingOutput",
    "GazetteerEmbedding",
    "InputEmbedding",
    "NgramEmbedding",
    "SubwordEmbedding",
    "TransformerEmbedding",
    "WordEmbedding",
]

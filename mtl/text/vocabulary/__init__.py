"""Vocabularies: the ids of words, characters, n-grams, affixes, subwords and phrases; hashes."""

from mtl.text.vocabulary.affixes import AffixVocabulary, word_shape
from mtl.text.vocabulary.base import PAD, UNKNOWN, Vocabulary
from mtl.text.vocabulary.characters import CharacterVocabulary
from mtl.text.vocabulary.gazetteers import GazetteerVocabulary
from mtl.text.vocabulary.hashes import HashVocabulary
from mtl.text.vocabulary.ngrams import NgramVocabulary
from mtl.text.vocabulary.subwords import SubwordVocabulary
from mtl.text.vocabulary.transformer import TransformerVocabulary
from mtl.text.vocabulary.words import WordVocabulary

__all__ = [
    "PAD",
    "UNKNOWN",
    "AffixVocabulary",
    "CharacterVocabulary",
    "GazetteerVocabulary",
    "HashVocabulary",
    "NgramVocabulary",
    "SubwordVocabulary",
    "TransformerVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "word_shape",
]

from mtl.data.readers.base import Reader, Record
from mtl.data.readers.conll import Conll
from mtl.data.readers.conllu import Conllu
from mtl.data.readers.csv import Csv, Tsv
from mtl.data.readers.hub import Hub
from mtl.data.readers.jsonl import Jsonl
from mtl.data.readers.lines import Lines
from mtl.data.readers.python import Python
from mtl.data.readers.text import Text
from mtl.registry import Registry

READERS = Registry[Reader](
    "reader",
    Reader,
    {
        "conll": Conll,
        "conllu": Conllu,
        "csv": Csv,
        "tsv": Tsv,
        "jsonl": Jsonl,
        "lines": Lines,
        "text": Text,
        "hub": Hub,
        "python": Python,
    },
)

__all__ = [
    "READERS",
    "Conll",
    "Conllu",
    "Csv",
    "Hub",
    "Jsonl",
    "Lines",
    "Python",
    "Reader",
    "Record",
    "Text",
    "Tsv",
]

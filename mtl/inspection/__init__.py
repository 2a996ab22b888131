"""Recognises the format and the labels of a user's files, and writes a corpus and a run file."""

from mtl.inspection.columns import TaskPlan
from mtl.inspection.formats import Format, recognise
from mtl.inspection.plan import CorpusPlan, plan_corpus
from mtl.inspection.writing import describe, write_files

__all__ = [
    "CorpusPlan",
    "Format",
    "TaskPlan",
    "describe",
    "plan_corpus",
    "recognise",
    "write_files",
]

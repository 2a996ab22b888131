"""Reading, merging and checking of run and corpus files."""

from mtl.config.build import Kinds
from mtl.config.corpus import CorpusConfig, CorpusTask, Folds, SourceConfig
from mtl.config.load import load_run, run_to_yaml
from mtl.config.parts import Part
from mtl.config.run import BatchConfig, Run, Task, Training
from mtl.options import part_options

__all__ = [
    "BatchConfig",
    "CorpusConfig",
    "CorpusTask",
    "Folds",
    "Kinds",
    "Part",
    "Run",
    "SourceConfig",
    "Task",
    "Training",
    "load_run",
    "part_options",
    "run_to_yaml",
]

"""Tagger that predicts each label from the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from mtl.errors import OptionError
from mtl.heads.crf import CRFTagger
from mtl.heads.tagger import TaggerOptions
from mtl.layers.crf_variants import MEMM
from mtl.options import complete


class MEMMTagger(CRFTagger):
    """A maximum-entropy Markov model over the scores of a sentence (McCallum et al. 2000).

    p(y | x) = Π_t softmax(W h_t + b + transitions[y_t-1])[y_t]

    A baseline for `crf`: each step is normalised by itself, so that a label with few likely
    successors ignores the next token, the label bias (Lafferty et al. 2001). It is decoded by
    Viterbi and has exact marginals, as a CRF. It cannot be part of an ensemble or be exported.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names.
    """

    def __init__(
        self, in_features: int, labels: Sequence[str], **options: Unpack[TaggerOptions]
    ) -> None:
        super().__init__(in_features, labels, **complete(TaggerOptions, options))
        if self.label_smoothing:
            raise OptionError("label_smoothing", "expected 0 in a memm; leave it out, or use a crf")
        self.crf = MEMM(len(self.labels))

"""A plain tagger in torch, as NCRF++ has it: word and character vectors, a BiLSTM, a CRF.

One model per task. It shows what a direct implementation without compiled operators costs; nothing
of mtl is used. Letters: B sentences, T tokens, C characters, K labels.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

PADDING, UNKNOWN = 0, 1
BATCH = 32
MOST_CHARACTERS = 32


class PlainTagger(nn.Module):
    """The network, with its vocabularies.

    Args:
        words: Word to id, from 2.
        characters: Character to id, from 2.
        labels: The names of the labels.
    """

    def __init__(
        self, words: dict[str, int], characters: dict[str, int], labels: Sequence[str]
    ) -> None:
        super().__init__()
        self.words, self.characters, self.labels = words, characters, list(labels)
        self.word_vectors = nn.Embedding(len(words) + 2, 100, padding_idx=PADDING)
        self.character_vectors = nn.Embedding(len(characters) + 2, 30, padding_idx=PADDING)
        self.convolution = nn.Conv1d(30, 50, 3, padding=1)
        self.lstm = nn.LSTM(150, 200, batch_first=True, bidirectional=True)
        self.scores = nn.Linear(400, len(labels))
        self.transitions = nn.Parameter(torch.zeros(len(labels), len(labels)))
        self.dropout = nn.Dropout(0.4)

    def emissions(self, sentences: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return the scores of labels `[B, T, K]` and the mask `[B, T]`."""
        word, character = self.words.get, self.characters.get
        ids = pad_sequence(
            [torch.tensor([word(w.lower(), UNKNOWN) for w in s]) for s in sentences],
            batch_first=True,
        )
        lengths = [len(sentence) for sentence in sentences]
        spelled = [
            [character(c, UNKNOWN) for c in w[:MOST_CHARACTERS]] for s in sentences for w in s
        ]
        letters = pad_sequence([torch.tensor(w or [UNKNOWN]) for w in spelled], batch_first=True)
        found = self.convolution(self.character_vectors(letters).transpose(1, 2)).amax(2)
        by_sentence = pad_sequence(found.split(lengths), batch_first=True)
        x = self.dropout(torch.cat([self.word_vectors(ids), by_sentence], 2))
        packed = pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.scores(self.dropout(states)), ids != PADDING

    def loss(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Tensor:
        """Return the negative log likelihood of labels."""
        emissions, mask = self.emissions(sentences)
        index = {label: i for i, label in enumerate(self.labels)}
        gold = pad_sequence([torch.tensor([index[t] for t in row]) for row in tags], True)
        score = (emissions.gather(2, gold[..., None])[..., 0] * mask).sum()
        score = score + (self.transitions[gold[:, :-1], gold[:, 1:]] * mask[:, 1:]).sum()
        alpha = emissions[:, 0]
        for t in range(1, emissions.shape[1]):
            new = torch.logsumexp(alpha[:, :, None] + self.transitions, 1) + emissions[:, t]
            alpha = torch.where(mask[:, t, None], new, alpha)
        return (torch.logsumexp(alpha, 1).sum() - score) / len(sentences)

    @torch.inference_mode()
    def predict(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return the best labels; sentences of similar length form batches."""
        found: list[list[str]] = [[] for _ in sentences]
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            emissions, mask = self.emissions([sentences[i] for i in rows])
            for row, path in zip(rows, self._best(emissions, mask), strict=True):
                found[row] = [self.labels[k] for k in path[: len(sentences[row])]]
        return found

    def _best(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        best, back = emissions[:, 0], []
        same = torch.arange(len(self.labels))
        for t in range(1, emissions.shape[1]):
            new, before = (best[:, :, None] + self.transitions).max(1)
            best = torch.where(mask[:, t, None], new + emissions[:, t], best)
            back.append(torch.where(mask[:, t, None], before, same))
        last = best.argmax(1, keepdim=True)
        path = [last]
        for before in reversed(back):
            path.append(last := before.gather(1, last))
        return torch.cat(path[::-1], 1).tolist()


def train(examples: Sequence[tuple[Sequence[str], Sequence[str]]], path: Path) -> None:
    """Train a tagger for one epoch and save it."""
    torch.manual_seed(1)
    counts = Counter(word.lower() for words, _ in examples for word in words)
    known = sorted(word for word, count in counts.items() if count > 1)
    letters = sorted({c for words, _ in examples for word in words for c in word})
    labels = sorted({tag for _, tags in examples for tag in tags})
    model = PlainTagger(
        {word: i for i, word in enumerate(known, 2)},
        {letter: i for i, letter in enumerate(letters, 2)},
        labels,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    by_length = sorted(examples, key=lambda example: len(example[0]))
    batches = [by_length[i : i + BATCH] for i in range(0, len(by_length), BATCH)]
    random.Random(1).shuffle(batches)
    for batch in batches:
        optimizer.zero_grad()
        model.loss(*zip(*batch, strict=True)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    state = model.state_dict()
    torch.save([model.words, model.characters, model.labels, state], path)


def load(path: Path) -> PlainTagger:
    """Return a saved tagger."""
    words, characters, labels, state = torch.load(path, weights_only=True)
    model = PlainTagger(words, characters, labels)
    model.load_state_dict(state)
    return model.eval()

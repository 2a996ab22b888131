"""Running text: words, characters and subwords as tokens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.text.running import END, characters, continues_word, detokenize, length

quick = settings(max_examples=50, deadline=None)
words = st.lists(st.text("abAé日'.", min_size=1, max_size=4), min_size=1, max_size=4)
texts = st.lists(words, max_size=3)


def test_characters_say_whether_they_begin_a_word() -> None:
    assert characters("an  ox") == ["a", "￭n", "o", "￭x"]


@quick
@given(texts)
def test_tokens_spell_the_text(lines: list[list[str]]) -> None:
    text = "".join(" ".join(line) + "\n" for line in lines)
    whole = [token for line in lines for token in (*line, END)]
    parts = [token for line in lines for token in (*characters(" ".join(line)), END)]
    assert "".join(detokenize(whole)) == "".join(detokenize(parts)) == text


@quick
@given(texts)
def test_words_and_characters_of_a_text_are_as_many_however_it_is_cut(
    lines: list[list[str]],
) -> None:
    text = "".join(" ".join(line) + "\n" for line in lines)
    parts = [token for line in lines for token in (*characters(" ".join(line)), END)]
    assert sum(map(length, parts)) == len(text)
    assert sum(not continues_word(token) for token in parts) == len(text.split()) + len(lines)

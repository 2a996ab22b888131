"""Rules that split raw text into sentences and words, with exact character offsets.

Words follow the Penn Treebank and UD English. Clitics are separate words (do n't, it 's). Hyphens
are separate words except after a prefix (e-mail, 15 - year). Abbreviations keep their period.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from mtl.text.running import characters

if TYPE_CHECKING:
    from mtl.text.subwords import Subwords

_TITLES = "Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Gen|Col|Lt|Capt|Sgt|Maj|Sens?|Reps?|Gov|Pres|St|Messrs|Mt|Ft"
_ABBREVIATIONS = (
    "Inc|Corp|Co|Ltd|Bros|Jr|Sr|Depts?|Univ|Ave|Blvd|Rd|vs|etc|Figs?|approx|est|ext|cf|eg|ie|Vol"
    "|Sec|Attn|Arrv|Ph|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat"
)
_PREFIXES = "e|non|pre|anti|mid|re|post|co|over|multi|pro|ex|sub|semi|neo|counter|intra|un"
_UNITS = "am|pm|mg|kg|km|cm|mm|ml|lbs?|mph|hrs?|yrs?|mins?|k|m|ft|x"
_CLITICS = "s|re|ve|ll|d|m"
_URL_REST = r"""[^\s<>"]*[^\s<>"'’”.,;:!?)\]}]"""
_DOMAIN = r"\w[\w-]{0,62}+(?:\.[\w-]{1,63}+){0,8}"
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_KANA = r"\u3040-\u30ff"
_LETTER = rf"[^\W\d_{_HAN}{_KANA}]"
_WORD = rf"{_LETTER}(?:[^\W{_HAN}{_KANA}]|[\u0300-\u036f\u00ad])*"
_EMOJI = r"[\u2600-\u27bf\U0001f300-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]?"

# The first alternative that matches wins, so their order matters. Repetitions that would have to
# be tried again at every character are bounded or possessive: long chunks take linear time.
_URL = rf"(?:(?:https?|ftp)://|www\.){_URL_REST}"
_NAMES = rf"""
      \w[\w.+-]{{0,63}}+@{_DOMAIN}\.[a-zA-Z]{{2,}}\b              # mail
    | {_DOMAIN}\.(?:com|org|net|edu|gov|co\.uk)\b(?:/{_URL_REST})?
    | [\w-]{{1,64}}+\.(?i:docx?|xlsx?|pdf|txt|html?|jpe?g|png|zip|exe|ppt)\b
"""
_SIGNS = rf"""
      [{_HAN}]
    | (?<!\w)[@#]{_LETTER}\w*                                   # @mentions, #hashtags
    | (?<!\w)[<>]?[:;=8xX][-o^']?[()\[\]DPp|*3]+(?!\w)          # emoticons
    | <3+ | \^_+\^ | {_EMOJI}(?:\u200d{_EMOJI})* | [\U0001f1e6-\U0001f1ff]{{2}}
"""
_WITH_PERIOD = rf"""
      (?:{_LETTER}\.){{2,}}                                     # U.S., e.g.
    | (?<!\w)(?:(?i:{_TITLES}|{_ABBREVIATIONS})\.(?=\s+\S|[,;:)])|No\.(?=\s*\d))
    | (?<!\w)[A-Z]\.(?=\s+[A-Z])                                # an initial
"""
_WORDS = rf"""
      \d{{3}}-\d{{3}}-\d{{4}}(?!\w) | \d{{3}}-\d{{4}}(?!\w)     # telephone numbers
    | \d++(?:[.,:/]\d++)*+(?:(?=(?i:{_UNITS})\b)|\w*)           # 1,000.50  10:30  3/4  5th
    | (?<=[\w.)])['’](?i:{_CLITICS})\b
    | (?<!\w)(?i:{_PREFIXES})-{_WORD}
    | (?<!\w)[A-Z]{{1,3}}&[A-Z]{{1,3}}\b                         # A&E
    | {_WORD}(?:['’]{_WORD})*
    | \.{{2,}} | …+ | -{{2,}} | —+ | _{{2,}} | \*{{2,}} | ={{2,}} | \+{{2,}} | [!?]+
    | `` | '' | ’’ | ‘[‘’] | << | >>
    | [{_KANA}]+ | \w | \S
"""
_TOKEN = re.compile(f"{_URL} | {_NAMES} | {_SIGNS} | {_WITH_PERIOD} | {_WORDS}", re.VERBOSE)
# Some tokens have a period or an @ within their first 65 characters. To try them at each character
# of a long chunk would be slow, so they are left out where no such mark follows.
_MARK = re.compile(r"[.@]")
_REACH = 65
_WITHOUT_MARK = re.compile(f"{_URL} | {_SIGNS} | {_WORDS}", re.VERBOSE)

# Contractions that are split further: English clitics, then French elisions (l'homme).
_CONTRACTIONS = re.compile(
    rf"""(?ix)
      (can)(not) | (gon|wan)(na) | (got)(ta) | (y['’])(all)
    | (ca|wo|do|does|did|is|was|are|were|has|have|would|could|should)(nt)
    | ([ldjcmnst]['’]|qu['’])([aeiouyhàâéèêëîïôûœ]\w+)
    | (.+?)(n['’]t | ['’](?:{_CLITICS}))
    """
)


class Token(NamedTuple):
    """A word of a text: `text[start:end]`."""

    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Return the words of a text, in order; every character except blanks is in one of them.

    >>> [token.text for token in tokenize("Mr. Li can't pay $1,000.50 (3/4).")]
    ['Mr.', 'Li', 'ca', "n't", 'pay', '$', '1,000.50', '(', '3/4', ')', '.']
    """
    tokens, start = [], 0
    for chunk, words in _chunks(text):
        start = text.index(chunk, start)
        for word in words:
            tokens.append(Token(word, start, start + len(word)))
            start += len(word)
    return tokens


def _chunks(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the chunks between blanks, each with its words.

    No word contains a blank, and only the rules for a final period look beyond a blank. The words
    of a chunk are therefore cached: a few chunks make up most of any text.
    """
    chunks = text.split()
    for chunk, following in zip_longest(chunks, chunks[1:], fillvalue=""):
        cut = _cut_cached if len(chunk) <= _MAX_CACHED else _cut
        yield chunk, cut(chunk, _kind(following) if chunk[-1] == "." else "")


_MAX_CACHED = 32
"""Maximum length of a cached chunk, in characters; it bounds the memory of the cache."""


def _kind(following: str) -> str:
    """Reduce the next chunk to the property that the rules depend on.

    Returns "A" for a capital letter, "1" for a digit, "a" for anything else, "" at the end. This
    keeps the number of different cache keys small.
    """
    first = following[:1]
    if "A" <= first <= "Z":
        return "A"
    return "1" if first.isdecimal() else first and "a"


def _cut(chunk: str, following: str) -> tuple[str, ...]:
    """Return the words of a chunk that a chunk of the kind `following` follows."""
    words: list[str] = []
    for word in _whole_words(chunk, following):
        parts = _CONTRACTIONS.fullmatch(word) if len(word) > 2 else None
        words += filter(None, parts.groups()) if parts else (word,)
    return tuple(words)


def _whole_words(chunk: str, following: str) -> Iterator[str]:
    """Yield the words of a chunk, before contractions are split."""
    text, end = f"{chunk} {following}", len(chunk)
    position, mark = 0, _next_mark(text, 0)
    while position < end:
        # No blank is left before the end, so each match starts where the one before ends.
        if position <= mark - _REACH:
            for match in _WITHOUT_MARK.finditer(text, position):
                position = match.start()
                if position > mark - _REACH or position >= end:
                    break
                yield match[0]
                position = match.end()
        else:
            for match in _TOKEN.finditer(text, position):
                position = match.start()
                if position > mark:
                    mark = _next_mark(text, position)
                if position <= mark - _REACH or position >= end:
                    break
                yield match[0]
                position = match.end()


def _next_mark(text: str, position: int) -> int:
    """Return the position of the next period or @; far behind the text if there is none."""
    found = _MARK.search(text, position)
    return found.start() if found else len(text) + _REACH


_cut_cached = lru_cache(maxsize=1 << 16)(_cut)


WordCut: TypeAlias = bool | Literal["characters"]
"""Unit of the tokens: words by rule (True), words at blanks (False), or characters."""
Cut: TypeAlias = WordCut | Literal["subwords"]
"""Unit of the tokens: words by rule (True), words at blanks (False), characters or subwords."""


def words_of(text: str, cut: Cut, subwords: Subwords | None = None) -> list[str]:
    """Split a text into words, characters or subwords.

    Args:
        text: The text.
        cut: The unit of the tokens.
        subwords: The subwords, if `cut` is "subwords".

    Raises:
        ValueError: `cut` is "subwords", and `subwords` is None.
    """
    if cut == "subwords":
        if subwords is None:
            raise ValueError("subwords: expected learned subwords, got None")
        return subwords.cut(text)
    if cut == "characters":
        return characters(text)
    return [word for _, words in _chunks(text) for word in words] if cut else text.split()


_CLOSING = frozenset("\"'’”»)]}」』）") | {"''", "’’"}
_OPENING = frozenset("\"'‘“«([{¿¡-–—•*") | {"``", "‘‘"}
_ENDS = frozenset(".!?…。！？").union(*_CLOSING)
"""Last characters of the tokens after which a sentence may start on the same line."""
_NO_END = re.compile(rf"(?:{_TITLES}|No|[A-Z])\.")
_STARTER = re.compile(
    "The|An?|It|He|She|They|We|I|You|Th(?:is|at|ese|ose|ere)|[IO]n|At|But|And|So|If|Wh(?:en|ile)"
    "|As|For|After|Before|However|My|His|Her|Our|Their|Its|What|Why|How|Who|Where"
)


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the start and end offset of each sentence of a text, without surrounding blanks.

    A sentence ends at a blank line. It also ends at a full stop, question or exclamation mark that
    precedes a blank and a possible start of a sentence. After an abbreviation, the period ends the
    sentence only before a word that mostly starts sentences.

    >>> text = "Dr. No lives in the U.S. now. He works."
    >>> [text[start:end] for start, end in split_sentences(text)]
    ['Dr. No lives in the U.S. now.', 'He works.']
    """
    tokens = tokenize(text)
    firsts = _first_tokens(text, tokens)
    return [(tokens[a].start, tokens[b - 1].end) for a, b in pairwise([*firsts, len(tokens)])]


def first_tokens(text: str) -> list[int]:
    """Return the index of the first token of each sentence; see `split_sentences`.

    >>> first_tokens("It rains. He works.")
    [0, 3]
    """
    return _first_tokens(text, tokenize(text))


def _first_tokens(text: str, tokens: list[Token]) -> list[int]:
    firsts = [0] if tokens else []
    has_lines = "\n" in text
    for index in range(1, len(tokens)):
        # Most tokens follow a word, which ends no sentence.
        if (has_lines or tokens[index - 1].text[-1] in _ENDS) and _starts(text, tokens, index):
            firsts.append(index)
    return firsts


def _starts(text: str, tokens: list[Token], index: int) -> bool:
    """Return whether token `index` (at least 1) starts a sentence."""
    token = tokens[index]
    last = index - 1
    gap = text[tokens[last].end : token.start]
    # Up to three closing quotes or brackets may separate the full stop from the blank.
    while (
        0 < last > index - 4
        and tokens[last].text in _CLOSING
        and tokens[last].start == tokens[last - 1].end
    ):
        last -= 1
    before = tokens[last].text
    if gap.count("\n") > 1:
        return True
    # Chinese and Japanese put no blank between sentences.
    if before[-1] in "。！？":
        return token.text not in "」』）。！？"
    if not gap or before[-1] not in ".!?…":
        return False
    # The period belongs to the word, as in "U.S." or "Dr.".
    if before[0].isalnum():
        return bool(_STARTER.fullmatch(token.text)) and not _NO_END.fullmatch(before)
    return token.text in _OPENING or (token.text[0].isalnum() and not token.text[0].islower())

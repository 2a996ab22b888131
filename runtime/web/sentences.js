// Sentences to label, made from raw text or lists of words; see mtl/inference/inputs.py.
import { trimEnd } from "./characters.js";
import { MtlError, shown } from "./errors.js";
import { firstTokens, splitSentences, tokenize, wordsOf } from "./tokenizer.js";

/** @typedef {string | string[] | [string | string[], string | string[]] | Sentence} Item */

/** A sentence, or a pair of sentences, to label. */
export class Sentence {
  /** @type {[number, number][] | null} */
  #offsets = null;
  /** @type {[number, number][] | null} */
  #bounds = null;

  /**
   * @param {string[]} words The words that the model reads, for pairs of both sentences.
   * @param {string | null} text The raw text of the (first) sentence; null if the input consists of words.
   * @param {number} start The position of `text` in the whole input.
   * @param {number | null} second For a pair, the index of the first word of the second sentence.
   * @param {string | null} textB The raw text of the second sentence of a pair.
   */
  constructor(words, text = null, start = 0, second = null, textB = null) {
    this.words = words;
    this.text = text;
    this.start = start;
    this.second = second;
    this.textB = textB;
  }

  static fromText(/** @type {string} */ text, start = 0) {
    return new Sentence(wordsOf(text), text, start);
  }

  static pair(/** @type {Sentence} */ one, /** @type {Sentence} */ two) {
    return new Sentence([...one.words, ...two.words], one.text, 0, one.words.length, two.text);
  }

  /** The words of the sentence, for pairs of the first one. */
  get tokens() {
    return this.second === null ? this.words : this.words.slice(0, this.second);
  }

  /** The words of the second sentence of a pair, else null. */
  get tokensB() {
    return this.second === null ? null : this.words.slice(this.second);
  }

  /** Start and end of each word in the whole input; empty if the input consists of words, and for pairs. */
  get offsets() {
    if (this.#offsets === null) {
      const tokens = this.text === null || this.second !== null ? [] : tokenize(this.text);
      this.#offsets = tokens.map((token) => [this.start + token.start, this.start + token.end]);
    }
    return this.#offsets;
  }

  /** First token of each sentence of a text, and the token after its last one. */
  get bounds() {
    if (this.#bounds === null) {
      const splits = this.text !== null && this.second === null && maySplit(this.text);
      const firsts = splits ? firstTokens(this.text ?? "") : [0];
      this.#bounds = firsts.map((first, i) => [first, firsts[i + 1] ?? this.words.length]);
    }
    return this.#bounds;
  }

  /**
   * Yield the sentences of a raw text; a list of words and a text without words stay as they are.
   * @returns {Generator<Sentence>}
   */
  *split() {
    if (this.text === null || !this.words.length) {
      yield this;
      return;
    }
    for (const [first, last] of splitSentences(this.text)) {
      const sentence = Sentence.fromText(this.text.slice(first, last), this.start + first);
      // A sentence is not split again, although it lacks the context of the text.
      sentence.#bounds = [[0, sentence.words.length]];
      yield sentence;
    }
  }
}

/** Return whether a text may have several sentences; the answer no is certain, and quick. */
function maySplit(/** @type {string} */ text) {
  const at = text.search(/[.!?…。！？\n]/u);
  return at >= 0 && at < trimEnd(text).length - 1;
}

/**
 * Yield sentences as users pass them. The input is read lazily.
 * @param {Iterable<Item>} sentences
 * @param {boolean} pairs Whether they are pairs.
 * @returns {Generator<Sentence>}
 */
export function readSentences(sentences, pairs) {
  // A string is iterable too: without this check, each character would become a sentence.
  if (typeof sentences === "string")
    throw new MtlError("expected a list of sentences, got one string; put it into a list");
  if (sentences === null || typeof sentences !== "object" || !(Symbol.iterator in sentences))
    throw new MtlError(`expected a list of sentences, got ${shown(sentences)}`);
  return read(sentences, pairs ? pairOf : single);
}

/**
 * @param {Iterable<Item>} sentences
 * @param {(item: any) => Sentence} make
 * @returns {Generator<Sentence>}
 */
function* read(sentences, make) {
  let index = 0;
  for (const item of sentences) {
    try {
      yield item instanceof Sentence ? item : make(item);
    } catch (error) {
      if (error instanceof InputError) throw new MtlError(`sentences[${index}]: ${error.message}`);
      throw error;
    }
    ++index;
  }
}

class InputError extends Error {}

function single(/** @type {unknown} */ item) {
  if (typeof item === "string") return Sentence.fromText(checked(item));
  if (!Array.isArray(item)) throw new InputError(`expected text or a list of words, got ${shown(item)}`);
  const other = item.findIndex((word) => typeof word !== "string");
  if (other >= 0) throw new InputError(`expected a list of words, found ${shown(item[other])} among them`);
  item.forEach(checked);
  return new Sentence([...item]);
}

function pairOf(/** @type {unknown} */ item) {
  if (!Array.isArray(item) || item.length !== 2)
    throw new InputError(`expected two sentences to compare, got ${shown(item)}`);
  return Sentence.pair(single(item[0]), single(item[1]));
}

/** Return a text; throw an error if it has one half of a UTF-16 character. */
function checked(/** @type {string} */ text) {
  const half = /\p{Surrogate}/u.exec(text);
  if (half) {
    const code = half[0].charCodeAt(0).toString(16);
    throw new InputError(`expected text, found an incomplete character, '\\u${code}', in it`);
  }
  return text;
}

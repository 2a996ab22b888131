// Vocabularies: from words to ids. Id 0 is padding, id 1 is the unknown string; see mtl/text/vocabulary.
import { isAlpha, isDigit, isUpper, withoutDigits } from "./characters.js";
import { shown } from "./errors.js";
import { SubwordVocabulary } from "./subwords.js";

export const PAD = 0;
const UNKNOWN = 1;
/** The number of special strings, whose ids come first. */
export const SPECIAL = 2;

/** Return the map from strings to ids. The special strings are not looked up. */
const index = (/** @type {string[]} */ strings) => new Map(strings.map((string, n) => [string, n + SPECIAL]));

/** @typedef {{encode: (word: string) => number[]}} Vocabulary */

/** Whole words. */
class WordVocabulary {
  constructor(/** @type {any} */ data) {
    this.lowercase = data.lowercase;
    this.digits = data.digits;
    this.fallback = data.fallback ?? false;
    this.ids = index(data.words);
    if ((data.extra ?? 0) > data.words.length)
      throw new Error(`extra: expected at most the number of words, got ${data.extra}`);
  }

  encode(/** @type {string} */ word) {
    const number = this.#find(word) ?? (this.fallback ? this.#find(word.toLowerCase()) : undefined);
    return [number ?? UNKNOWN];
  }

  #find(/** @type {string} */ word) {
    const own = this.lowercase ? word.toLowerCase() : word;
    return this.ids.get(this.digits ? withoutDigits(own) : own);
  }
}

/** The characters of a word between a start token and an end token. Long words lose their middle. */
class CharacterVocabulary {
  constructor(/** @type {any} */ data) {
    this.most = data.max_characters;
    this.ids = index(["<w>", "</w>", ...data.characters]);
  }

  encode(/** @type {string} */ word) {
    return ["<w>", ...shortened(word, this.most), "</w>"].map((c) => this.ids.get(c) ?? UNKNOWN);
  }
}

/** Return the characters of a word; a longer one loses its middle. */
function shortened(/** @type {string} */ word, /** @type {number} */ most) {
  const characters = [...word];
  if (characters.length <= most) return characters;
  const half = Math.floor(most / 2);
  return [...characters.slice(0, most - half), ...characters.slice(characters.length - half)];
}

/** The known character n-grams of a word between `<` and `>`, the shorter ones first. */
class NgramVocabulary {
  constructor(/** @type {any} */ data) {
    this.shortest = data.shortest;
    this.longest = data.longest;
    this.most = data.max_word;
    this.ids = index(data.ngrams);
  }

  encode(/** @type {string} */ word) {
    const marked = ["<", ...shortened(word, this.most), ">"];
    const found = [];
    for (let length = this.shortest; length <= Math.min(this.longest, marked.length); ++length)
      for (let start = 0; start + length <= marked.length; ++start) {
        const number = this.ids.get(marked.slice(start, start + length).join(""));
        if (number !== undefined) found.push(number);
      }
    return found.length ? found : [UNKNOWN];
  }
}

/** Return the pattern of cases and digits in a word; runs are cut to three characters. */
export function wordShape(/** @type {string} */ word) {
  /** @type {string[]} */
  const shape = [];
  for (const c of word) {
    const kind = isDigit(c) ? "d" : isUpper(c) ? "X" : isAlpha(c) ? "x" : c;
    const last = shape.slice(-3);
    if (last.length < 3 || last.some((own) => own !== kind)) shape.push(kind);
  }
  return shape.join("");
}

/** Prefix, suffixes and shape of a word. */
class AffixVocabulary {
  constructor(/** @type {any} */ data) {
    this.ids = /** @type {Map<string, number>[]} */ (data.map(index));
    if (data.length !== 4) throw new Error(`expected 4 lists of affixes, got ${data.length}`);
  }

  encode(/** @type {string} */ word) {
    const lower = [...word.toLowerCase()];
    const features = [lower.slice(0, 3), lower.slice(-2), lower.slice(-3)].map((part) => part.join(""));
    return [...features, wordShape(word)].map((feature, n) => this.ids[n].get(feature) ?? UNKNOWN);
  }
}

const VOCABULARIES = new Map(
  Object.entries({
    words: WordVocabulary,
    characters: CharacterVocabulary,
    ngrams: NgramVocabulary,
    affixes: AffixVocabulary,
    subwords: SubwordVocabulary,
  }),
);

/**
 * Make the vocabulary of a feature from the data in a bundle.
 * @param {string} feature
 * @param {any} data
 * @returns {Vocabulary}
 */
export function vocabulary(feature, data) {
  const Kind = VOCABULARIES.get(feature);
  if (!Kind) throw new Error(`unknown vocabulary ${shown(feature)}; was it exported by a later version?`);
  return new Kind(data);
}

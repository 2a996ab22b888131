// Byte-level BPE (Sennrich et al. 2016): the subwords of words, as the library `tokenizers` finds them.

const SPECIAL = 2; // the number of special strings, whose ids come first

// Byte to its character: visible Latin-1 characters stay, others follow U+0100.
const isPlain = (/** @type {number} */ b) => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad);
const BYTES = [...Array(0x100).keys()];
const OTHERS = BYTES.filter((b) => !isPlain(b));
const CHARACTERS = BYTES.map((b) => String.fromCharCode(isPlain(b) ? b : 0x100 + OTHERS.indexOf(b)));
const UTF8 = new TextEncoder();

/** Maps words to the ids of their subwords. */
export class SubwordVocabulary {
  /** @param {any} data A tokenizer in the format of `tokenizers`, as mtl learns it. */
  constructor(data) {
    const { vocab, merges } = data.model;
    this.ids = new Map(Object.entries(vocab));
    // Older files write a pair as one string; no subword contains a blank.
    const pairs = merges.map((/** @type {any} */ pair) => (typeof pair === "string" ? pair : pair.join(" ")));
    /** @type {Map<string, number>} */
    this.ranks = new Map(pairs.map((/** @type {string} */ pair, /** @type {number} */ n) => [pair, n]));
  }

  encode(/** @type {string} */ word) {
    const parts = [...UTF8.encode(word)].map((byte) => CHARACTERS[byte]).filter((c) => this.ids.has(c));
    // The positions of the parts before and after each one, and the pairs that may be merged.
    const end = parts.length;
    const before = parts.map((_, at) => at - 1),
      after = parts.map((_, at) => at + 1);
    const pairs = new Queue();
    const add = (/** @type {number} */ at) => {
      if (at < 0 || after[at] === end) return;
      const rank = this.ranks.get(`${parts[at]} ${parts[after[at]]}`);
      if (rank !== undefined) pairs.push(rank, at);
    };
    parts.forEach((_, at) => add(at));
    // The first of the most frequent pairs is merged until no pair is known.
    for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
      const [rank, at] = pair,
        next = after[at];
      // The parts may have been merged since.
      if (next === end || this.ranks.get(`${parts[at]} ${parts[next]}`) !== rank) continue;
      parts[at] += parts[next];
      parts[next] = "";
      after[at] = after[next];
      before[after[next]] = at;
      add(before[at]);
      add(at);
    }
    return parts.filter(Boolean).map((part) => SPECIAL + this.ids.get(part));
  }
}

/** Pairs of numbers, the smallest first: a binary heap. */
class Queue {
  /** @type {[number, number][]} */
  #items = [];

  push(/** @type {number} */ rank, /** @type {number} */ at) {
    const items = this.#items;
    let place = items.length;
    items.push([rank, at]);
    while (place && this.#precedes(place, (place - 1) >> 1)) place = this.#swap(place, (place - 1) >> 1);
  }

  pop() {
    const items = this.#items,
      top = items[0],
      last = items.pop();
    if (last && items.length) {
      items[0] = last;
      for (let place = 0; ;) {
        let least = 2 * place + 1;
        if (least + 1 < items.length && this.#precedes(least + 1, least)) ++least;
        if (least >= items.length || !this.#precedes(least, place)) break;
        place = this.#swap(place, least);
      }
    }
    return top;
  }

  #precedes(/** @type {number} */ one, /** @type {number} */ two) {
    const a = this.#items[one],
      b = this.#items[two];
    return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
  }

  #swap(/** @type {number} */ from, /** @type {number} */ to) {
    [this.#items[from], this.#items[to]] = [this.#items[to], this.#items[from]];
    return to;
  }
}

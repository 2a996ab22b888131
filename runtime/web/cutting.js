// Cutting a stream of texts into chunks, passes, windows and batches; see mtl/inference/cutting.py.

const CHUNK = 4096; // sentences
const CHUNK_CHARACTERS = 1 << 17;
const PADDED = 1 << 18; // the most characters of words that are computed together, padding included

/** @typedef {import("./sentences.js").Sentence} Sentence */
/**
 * A window of a sentence, in tokens of the whole sentence; ends are exclusive. Its predictions count for the tokens
 * from `keepStart` to before `keepEnd`; the others are context.
 * @typedef {{row: number, start: number, end: number, keepStart: number, keepEnd: number}} Piece
 */

/**
 * Split a sentence into windows whose kept ranges cover each token once; they are evenly spaced.
 * @param {number} row The index of the sentence in its chunk.
 * @param {number} first Its first token.
 * @param {number} length Its number of tokens.
 * @param {number} limit The most tokens per window.
 * @param {number} overlap The least number of tokens that adjacent windows share.
 * @returns {Piece[]}
 */
function windows(row, first, length, limit, overlap) {
  if (length <= limit)
    return [{ row, start: first, end: first + length, keepStart: first, keepEnd: first + length }];
  const steps = Math.ceil((length - limit) / (limit - overlap));
  const starts = Array.from(
    { length: steps + 1 },
    (_, i) => first + Math.floor((i * (length - limit)) / steps),
  );
  // Adjacent windows meet in the middle of their overlap, where both have equal context.
  const meet = (/** @type {number} */ i) =>
    i === 0
      ? first
      : i > steps
        ? first + length
        : first + Math.floor((starts[i - 1] + limit + starts[i] - 2 * first) / 2);
  return starts.map((start, i) => ({
    row,
    start,
    end: start + limit,
    keepStart: meet(i),
    keepEnd: meet(i + 1),
  }));
}

/** Cuts the texts of a chunk into windows, and the windows into batches. */
export class Cutter {
  constructor(
    /** @type {number} */ maxLength,
    /** @type {number} */ overlap,
    /** @type {number} */ maxTokens,
  ) {
    this.maxLength = maxLength;
    this.overlap = overlap;
    this.maxTokens = maxTokens;
  }

  /**
   * Yield the passes through the network: the tasks of a pass, and the windows that they read.
   * @param {Sentence[]} sentences
   * @param {string[]} tasks
   * @param {string[]} bySentence The tasks that read each sentence of a text by itself.
   * @returns {Generator<[string[], Piece[]]>}
   */
  *passes(sentences, tasks, bySentence) {
    const split = tasks.filter((task) => bySentence.includes(task));
    const whole = tasks.filter((task) => !bySentence.includes(task));
    /** @type {number[]} */
    const one = [],
      several = /** @type {number[]} */ ([]);
    sentences.forEach((sentence, row) => {
      if (split.length && whole.length && sentence.bounds.length > 1) several.push(row);
      else if (sentence.words.length) one.push(row);
    });
    const passes = /** @type {[string[], number[], boolean][]} */ ([
      [tasks, one, !split.length],
      [split, several, false],
      [whole, several, true],
    ]);
    for (const [together, rows, asWhole] of passes)
      if (rows.length) yield [together, rows.flatMap((row) => this.#windows(sentences[row], row, asWhole))];
  }

  #windows(/** @type {Sentence} */ sentence, /** @type {number} */ row, /** @type {boolean} */ whole) {
    const length = sentence.words.length;
    // A pair has one window: it is read whole.
    if (sentence.second !== null) return windows(row, 0, length, length, 0);
    const bounds = whole || sentence.text === null ? [[0, length]] : sentence.bounds;
    return bounds.flatMap(([first, last]) => windows(row, first, last - first, this.maxLength, this.overlap));
  }

  /** Return the indices of the windows of each batch: windows of similar length together. */
  batches(/** @type {Piece[]} */ pieces) {
    const width = (/** @type {number} */ i) => Math.max(1, pieces[i].end - pieces[i].start);
    const order = pieces.map((_, i) => i).sort((a, b) => width(a) - width(b) || a - b);
    const batches = [];
    for (let start = 0, end = 1; start < order.length; start = end++) {
      while (end < order.length && (end - start + 1) * width(order[end]) <= this.maxTokens) ++end;
      batches.push(order.slice(start, end));
    }
    return batches;
  }
}

/**
 * Yield lists of up to `size` items and `CHUNK_CHARACTERS`; the items are read lazily.
 * @param {Iterable<Sentence>} sentences
 * @param {number} size
 */
export function* bounded(sentences, size = CHUNK) {
  /** @type {Sentence[]} */
  let chunk = [];
  let characters = 0;
  for (const sentence of sentences) {
    chunk.push(sentence);
    for (const word of sentence.words) characters += word.length;
    if (chunk.length === size || characters >= CHUNK_CHARACTERS) {
      yield chunk;
      chunk = [];
      characters = 0;
    }
  }
  if (chunk.length) yield chunk;
}

/** Yield the indices of words that are computed together: up to `most` words of similar length. */
export function* wordBatches(/** @type {string[]} */ words, /** @type {number} */ most) {
  /** @type {number[]} */
  let batch = [];
  const order = words.map((_, i) => i).sort((a, b) => words[a].length - words[b].length || a - b);
  for (const index of order) {
    // The words are padded to the length of the last one.
    if (batch.length === most || (batch.length && (batch.length + 1) * words[index].length > PADDED)) {
      yield batch;
      batch = [];
    }
    batch.push(index);
  }
  if (batch.length) yield batch;
}

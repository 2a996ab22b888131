// The words that a model has met, and their rows. Letters: U words, N width of a table.
import { NDArray, make } from "./arrays.js";
import { wordBatches } from "./cutting.js";
import { shown } from "./errors.js";
import { PAD, vocabulary } from "./vocabulary.js";

/** The most bytes of all tables. Words that were not used for the longest time are dropped first. */
const MOST_BYTES = 1 << 27;
/** The most ids per word of a vocabulary with a fixed number of them. */
const MOST_WIDTH = 64;

/** @typedef {import("./vocabulary.js").Vocabulary} Vocabulary */

/** Makes the inputs of the program of words. */
export class Encoder {
  /** @type {Map<string, {width: number | null, own: Vocabulary}>} */
  #vocabularies = new Map();

  /**
   * @param {string[]} features The names of the inputs, without the mask.
   * @param {any[]} vocabularies The vocabularies, each with `feature`, `width` and `data`.
   */
  constructor(features, vocabularies) {
    const made = new Map();
    for (const { feature, width, data } of vocabularies) {
      if (width !== null && !(Number.isInteger(width) && width >= 1 && width <= MOST_WIDTH))
        throw new Error(`vocabulary ${shown(feature)}: unknown width ${shown(width)}`);
      made.set(feature, { width, own: vocabulary(feature, data) });
    }
    this.types = features.includes("types");
    for (const name of features) {
      if (name === "types") continue;
      if (!made.has(name)) throw new Error(`the feature ${shown(name)} has no vocabulary`);
      this.#vocabularies.set(name, made.get(name));
    }
  }

  /**
   * Return the inputs for U words; row 0 of tables is padding, so types count from 1.
   * @param {string[]} words
   * @returns {Map<string, NDArray>}
   */
  inputs(words) {
    const inputs = new Map();
    const row = [1, words.length];
    if (this.types)
      inputs.set(
        "types",
        new NDArray(
          Float64Array.from(words, (_, i) => i + 1),
          row,
          "int64",
        ),
      );
    for (const [name, { width, own }] of this.#vocabularies) {
      const codes = words.map((word) => own.encode(word));
      if (width === 1)
        inputs.set(
          name,
          new NDArray(
            Float64Array.from(codes, (code) => code[0]),
            row,
            "int64",
          ),
        );
      else inputs.set(name, padded(codes, width ?? 1));
    }
    inputs.set("mask", new NDArray(new Uint8Array(words.length).fill(1), row, "bool"));
    return inputs;
  }
}

/** Return rows of ids, padded on the right; each has at least `least`. */
function padded(/** @type {number[][]} */ codes, /** @type {number} */ least) {
  const width = codes.reduce((most, code) => Math.max(most, code.length), least);
  const made = make([codes.length, width], "int64");
  made.data.fill(PAD);
  codes.forEach((code, i) => made.data.set(code, i * width));
  return made;
}

/** The rows of words in the tables that the first layers read, kept between calls. */
export class WordTables {
  /** @type {Map<string, number>} Word to its row, from 1. */
  #rows = new Map();
  /** @type {Map<string, NDArray>} Name to a table with room for further rows. */
  #memory = new Map();
  #count = 1;
  /** @type {number[]} The last call that asked for each row. */
  #used = [0];
  #call = 0;

  /**
   * @param {import("./graph.js").Program} program Computes rows.
   * @param {string[]} names The names of its outputs.
   * @param {Encoder} encoder Makes its inputs.
   * @param {number} together The most words that are computed at once.
   */
  constructor(program, names, encoder, together) {
    this.program = program;
    this.names = names;
    this.encoder = encoder;
    this.together = together;
  }

  /**
   * Return the row of each word, and the tables, `[1 + U, N]`.
   * @param {string[]} words
   * @returns {{ids: Int32Array, tables: Map<string, NDArray>}}
   */
  find(words) {
    const bytes = this.#bytes();
    if (bytes > MOST_BYTES) this.#shrink((0.5 * MOST_BYTES) / bytes);
    this.#call += 1;
    const ids = new Int32Array(words.length);
    /** @type {string[]} */
    const added = [];
    words.forEach((word, i) => {
      let row = this.#rows.get(word);
      if (row === undefined) {
        this.#rows.set(word, (row = this.#rows.size + 1));
        added.push(word);
      }
      ids[i] = row;
      this.#used[row] = this.#call;
    });
    try {
      if (added.length) this.#append(added);
    } catch (error) {
      // A word must never have the row of another one.
      this.#rows.clear();
      this.#memory.clear();
      this.#count = 1;
      throw error;
    }
    const tables = new Map();
    for (const [name, { data, shape, dtype }] of this.#memory)
      tables.set(name, new NDArray(data.subarray(0, this.#count * shape[1]), [this.#count, shape[1]], dtype));
    return { ids, tables };
  }

  #bytes() {
    let row = 0;
    for (const table of this.#memory.values()) row += table.shape[1] * table.data.BYTES_PER_ELEMENT;
    return row * this.#count;
  }

  /** Keep a share of the words, those that were used last. */
  #shrink(/** @type {number} */ share) {
    const words = [...this.#rows].sort(([, a], [, b]) => this.#used[b] - this.#used[a] || a - b);
    const kept = words.slice(0, Math.floor(share * words.length)).sort(([, a], [, b]) => a - b);
    const rows = [0, ...kept.map(([, row]) => row)];
    for (const [name, { data, shape, dtype }] of this.#memory) {
      const table = make([rows.length, shape[1]], dtype);
      rows.forEach((row, i) =>
        table.data.set(data.subarray(row * shape[1], (row + 1) * shape[1]), i * shape[1]),
      );
      this.#memory.set(name, table);
    }
    this.#used = rows.map((row) => this.#used[row]);
    this.#rows = new Map(kept.map(([word], i) => [word, i + 1]));
    this.#count = rows.length;
  }

  /** Add the rows of further words; words of similar length are computed together. */
  #append(/** @type {string[]} */ words) {
    const end = this.#count + words.length;
    for (const index of wordBatches(words, this.together)) {
      const found = this.program.run(this.encoder.inputs(index.map((i) => words[i])), this.names);
      for (const [name, values] of found) {
        const width = values.size / index.length,
          table = this.#room(name, end, width, values.dtype);
        index.forEach((i, k) =>
          table.data.set(values.data.subarray(k * width, (k + 1) * width), (this.#count + i) * width),
        );
      }
    }
    this.#count = end;
  }

  /**
   * Return a table with room for `end` rows; its memory doubles when it is full.
   * @param {string} name
   * @param {number} end
   * @param {number} width
   * @param {import("./arrays.js").DType} dtype
   */
  #room(name, end, width, dtype) {
    const before = this.#memory.get(name);
    if (before && end <= before.shape[0]) return before;
    const grown = make([Math.max(end, 2 * this.#count), width], dtype);
    if (before) grown.data.set(before.data.subarray(0, this.#count * width));
    this.#memory.set(name, grown);
    return grown;
  }
}

// Values and confidences from the scores of a network. Letters: B windows, T tokens, K labels, S logits.
import { NDArray, make } from "./arrays.js";
import { shown } from "./errors.js";
import { SCHEMES, joinTag, parseTag, readSpans } from "./spans.js";
import { argmax, logSoftmax } from "./sums.js";

/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./cutting.js").Piece} Piece */
/** @typedef {import("./spans.js").Span} Span */
/** @typedef {{span: Span, confidence: number}} FoundSpan A span and the joint probability of its tags. */
/**
 * The values of the tokens that a window keeps. Positions of spans count from the first one.
 * @typedef {{values: any[], confidence: any[], spans: FoundSpan[]}} Readout
 */

const TINY = 2 ** -126;

const sigmoid = (/** @type {number} */ x) => (x >= 0 ? 1 : Math.exp(x)) / (1 + Math.exp(-Math.abs(x)));

/** Reads the scores of one task. */
export class Decoder {
  /** @type {NDArray[] | null} The scores of transitions, of the first label and of the last label. */
  #steps = null;

  /**
   * @param {any} task The description of the task in the bundle.
   * @param {Map<string, NDArray>} tensors
   * @param {Kernels} kernels
   */
  constructor(task, tensors, kernels) {
    check(task);
    const stored = (/** @type {string} */ name) => {
      const found = tensors.get(name);
      if (!found) throw new Error(`there is no tensor ${shown(name)}`);
      return found;
    };
    this.kernels = kernels;
    /** @type {"label" | "set" | "number" | "distribution"} */
    this.form = task.form;
    /** @type {"token" | "sentence"} */
    this.level = task.level;
    /** @type {string[]} */
    this.labels = task.labels;
    /** @type {import("./spans.js").Scheme | null} */
    this.scheme = task.scheme;
    this.confidence = task.confidence;
    // Bundles of earlier versions have no temperature.
    this.temperature = task.temperature ?? 1;
    this.spanTemperature = task.span_temperature ?? 1;
    this.thresholds = task.thresholds ? stored(task.thresholds).data : null;
    const [mean, deviation] = task.scale ?? [0, 1];
    /** @type {number} */
    this.mean = mean;
    /** @type {number} */
    this.deviation = deviation;
    this.padding = task.level === "sentence" ? stored(task.padding) : null;
    if (task.decode.kind === "viterbi")
      this.#steps = ["transitions", "start", "end"].map((name) => stored(task.decode[name]));
    this.tags = this.level === "token" && this.form === "label";
    // Labels of the output scheme, and the index of the one of each label.
    const outputs = this.scheme === "bio" ? this.labels.map(bio) : this.labels;
    this.outputs = [...new Set(outputs)];
    this.targets = outputs.map((label) => this.outputs.indexOf(label));
  }

  // ---- one value per token

  /**
   * Return the values of the tokens that each window keeps.
   * @param {NDArray} scores `[B, T, K]`
   * @param {NDArray} mask `[B, T]`, true on real tokens, which come first.
   * @param {Piece[]} windows The B windows.
   * @param {boolean} confidence Whether to compute probabilities.
   * @returns {Readout[]}
   */
  read(scores, mask, windows, confidence) {
    if (this.tags) return this.#readTags(scores, mask, windows, confidence);
    const [, T, K] = scores.shape;
    return windows.map((w, b) => {
      const first = b * T + w.keepStart - w.start,
        last = b * T + w.keepEnd - w.start;
      const rows = new NDArray(scores.data.subarray(first * K, last * K), [last - first, K], scores.dtype);
      const values = this.#named(rows);
      return { values, confidence: confidence ? this.#certain(values, rows) : [], spans: [] };
    });
  }

  /**
   * @param {NDArray} scores
   * @param {NDArray} mask
   * @param {Piece[]} windows
   * @param {boolean} confidence
   * @returns {Readout[]}
   */
  #readTags(scores, mask, windows, confidence) {
    const T = scores.shape[1],
      K = this.outputs.length;
    const ids = this.#steps ? this.kernels.viterbi(scores, this.#steps, mask) : argmax(scores, 2);
    const certain = confidence ? this.probabilities(scores, mask).data : null;
    const readouts = windows.map((w, b) => {
      const places = Array.from(
        { length: w.keepEnd - w.keepStart },
        (_, i) => b * T + w.keepStart - w.start + i,
      );
      const values = places.map((at) => this.labels[ids.data[at]]);
      const own = certain ? places.map((at) => certain[at * K + this.targets[ids.data[at]]]) : [];
      return { values, confidence: own, spans: /** @type {FoundSpan[]} */ ([]) };
    });
    if (certain && this.scheme) {
      const found = readouts.flatMap(({ values }, row) => {
        const offset = windows[row].keepStart - windows[row].start;
        return readSpans(values).map((span) => ({
          row,
          span,
          start: span.start + offset,
          end: span.end + offset,
        }));
      });
      const numbers = found.length ? this.#spanConfidences(scores, mask, ids, found) : [];
      found.forEach(({ row, span }, i) => readouts[row].spans.push({ span, confidence: numbers[i] }));
    }
    return readouts;
  }

  /** Return the probabilities of the output labels, `[B, T, K]`; anything on padding. */
  probabilities(/** @type {NDArray} */ scores, /** @type {NDArray} */ mask) {
    const K = this.labels.length,
      outputs = this.outputs.length;
    const own = divided(scores, this.temperature);
    const marginal = this.confidence === "marginals";
    const found = marginal
      ? this.kernels.marginals(own, this.#dividedSteps(this.temperature), mask)
      : logSoftmax(own, -1);
    const sums = make([scores.shape[0], scores.shape[1], outputs], "float32");
    for (let i = 0; i < found.size; ++i) {
      const probability = marginal ? Math.max(found.data[i], TINY) : Math.exp(found.data[i]);
      sums.data[Math.floor(i / K) * outputs + this.targets[i % K]] += probability;
    }
    // Rounding can bring a sum slightly above 1.
    for (let i = 0; i < sums.size; ++i) sums.data[i] = Math.min(sums.data[i], 1);
    return sums;
  }

  /**
   * Return the joint probability of the labels of each span: row, start and end.
   * @param {NDArray} scores
   * @param {NDArray} mask
   * @param {NDArray} ids
   * @param {{row: number, start: number, end: number}[]} places
   * @returns {number[]}
   */
  #spanConfidences(scores, mask, ids, places) {
    const [, T, K] = scores.shape;
    if (this.confidence !== "marginals") {
      const logs = logSoftmax(divided(scores, this.spanTemperature), -1).data;
      return places.map(({ row, start, end }) => {
        let sum = 0;
        for (let at = row * T + start; at < row * T + end; ++at) sum += logs[at * K + ids.data[at]];
        return Math.exp(sum);
      });
    }
    const steps = this.#dividedSteps(this.spanTemperature);
    // Scores add up over a document, and the difference of two large sums is inexact.
    const shifted = divided(scores, this.spanTemperature);
    for (let at = 0; at < shifted.size; at += K) {
      const row = shifted.data.subarray(at, at + K),
        top = Math.max(...row);
      for (let k = 0; k < K; ++k) row[k] -= top;
    }
    const possible = make([places.length, T, K], "float32"),
      masks = make([places.length, T], "bool");
    places.forEach(({ row, start, end }, i) => {
      possible.data.set(shifted.data.subarray(row * T * K, (row + 1) * T * K), i * T * K);
      masks.data.set(mask.data.subarray(row * T, (row + 1) * T), i * T);
      for (let t = start; t < end; ++t)
        for (let k = 0; k < K; ++k)
          if (k !== ids.data[row * T + t]) possible.data[(i * T + t) * K + k] = -Infinity;
    });
    const every = this.kernels.logPartition(shifted, steps, mask).data;
    const own = this.kernels.logPartition(possible, steps, masks).data;
    return places.map(({ row }, i) => Math.exp(Math.min(own[i] - every[row], 0)));
  }

  #dividedSteps(/** @type {number} */ temperature) {
    if (!this.#steps) throw new Error("marginals need the scores of transitions");
    return this.#steps.map((own) => divided(own, temperature));
  }

  // ---- one value per sentence

  /** Return the values of N sentences, and their confidences, from logits `[N, S]`. */
  conclude(/** @type {NDArray} */ logits, /** @type {boolean} */ confidence) {
    const values = this.#named(logits);
    return { values, confidence: confidence ? this.#certain(values, logits) : values.map(() => null) };
  }

  /** Return the probabilities of the labels, `[N][K]`, from logits `[N, K]`. */
  labelProbabilities(/** @type {NDArray} */ logits) {
    return rowsOf(logSoftmax(divided(logits, this.temperature), -1)).map((row) => row.map(Math.exp));
  }

  // ---- rows of scores

  /** Return the values of rows of scores, `[N, S]`. */
  #named(/** @type {NDArray} */ scores) {
    const rows = rowsOf(scores);
    if (this.form === "number") return rows.map((row) => Math.fround(this.mean + this.deviation * row[0]));
    if (this.form === "set")
      return rows.map((row) => this.labels.filter((_, k) => sigmoid(row[k]) > (this.thresholds?.[k] ?? 0.5)));
    if (this.form === "distribution")
      return rowsOf(logSoftmax(scores, -1)).map((row) => this.#byLabel(row.map(Math.exp)));
    return rows.map((row) => this.labels[row.indexOf(Math.max(...row))]);
  }

  /** Return the confidence of each value; null for numbers and distributions. */
  #certain(/** @type {any[]} */ values, /** @type {NDArray} */ scores) {
    if (this.form === "set")
      return rowsOf(scores).map((row) => this.#byLabel(row.map((own) => sigmoid(own / this.temperature))));
    if (this.form === "label")
      return this.labelProbabilities(scores).map((row, i) => row[this.labels.indexOf(values[i])]);
    return values.map(() => null);
  }

  #byLabel(/** @type {number[]} */ row) {
    return Object.fromEntries(this.labels.map((label, k) => [label, row[k]]));
  }
}

/** Return the last axis of an array as lists of numbers. */
function rowsOf(/** @type {NDArray} */ x) {
  const [n, width] = x.shape;
  return Array.from({ length: n }, (_, i) => Array.from(x.data.subarray(i * width, (i + 1) * width)));
}

/** Return a copy of an array divided by a number. */
function divided(/** @type {NDArray} */ x, /** @type {number} */ number) {
  const made = make(x.shape, "float32");
  for (let i = 0; i < x.size; ++i) made.data[i] = x.data[i] / number;
  return made;
}

/** Throw an error if the description of a task has unknown values. */
function check(/** @type {any} */ task) {
  const known = /** @type {Record<string, any[]>} */ ({
    form: ["label", "set", "number", "distribution"],
    level: ["token", "sentence"],
    unit: ["sentence", "record"],
    scheme: [null, ...SCHEMES],
    confidence: ["softmax", "marginals", "sigmoid", "none"],
    pairs: [false, true],
    derived: [false, true],
  });
  for (const [name, values] of Object.entries(known))
    if (!values.includes(task[name])) throw new Error(`unknown ${name} ${shown(task[name])}`);
  if (!["argmax", "viterbi"].includes(task.decode.kind))
    throw new Error(`unknown search ${shown(task.decode.kind)}`);
  for (const name of ["temperature", "span_temperature"]) {
    const number = task[name] ?? 1;
    if (typeof number !== "number" || !(number > 0 && number < Infinity))
      throw new Error(`${name}: expected a number above 0, got ${shown(number)}`);
  }
  if (!task.labels.every((/** @type {unknown} */ label) => typeof label === "string"))
    throw new Error("expected labels that are strings");
  if (!task.labels.length && task.form !== "number") throw new Error("expected labels");
}

/** Return the BIO tag of a tag, regardless of its neighbours. */
function bio(/** @type {string} */ tag) {
  const [prefix, kind] = parseTag(tag);
  return joinTag(prefix === "S" ? "B" : prefix === "E" ? "I" : prefix, kind);
}

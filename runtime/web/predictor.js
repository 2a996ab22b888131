// Applies a network to a stream of sentences; see runtime/mtl_runtime/predictor.py. Letters: B windows, T tokens,
// S logits.
import { NDArray, make } from "./arrays.js";
import { Cutter, bounded } from "./cutting.js";
import { Decoder } from "./decoding.js";
import { BundleError, MtlError, shown } from "./errors.js";
import { Prediction, mergeTokens } from "./prediction.js";
import { Encoder, WordTables } from "./words.js";

/** @typedef {import("./bundle.js").Bundle} Bundle */
/** @typedef {import("./cutting.js").Piece} Piece */
/** @typedef {import("./decoding.js").Readout} Readout */
/** @typedef {import("./sentences.js").Sentence} Sentence */
/** @typedef {import("./prediction.js").TaskPrediction} TaskPrediction */

const MOST_TOKENS = 1 << 16; // the most tokens per batch that a description may ask for

/**
 * Run a program; an error becomes one that a user understands.
 * @template T
 * @param {() => T} run
 * @returns {T}
 */
function running(run) {
  try {
    return run();
  } catch (error) {
    if (error instanceof MtlError) throw error;
    const { name, message } = /** @type {Error} */ (error);
    throw new BundleError(`the model cannot be run (${name}: ${message}); was its file damaged?`);
  }
}

/** Labels sentences: all tasks in one pass, sentences of similar length in one batch. */
export class Predictor {
  constructor(/** @type {Bundle} */ { meta, tensors, words, sentences, kernels }) {
    const { max_length: maxLength, overlap, max_tokens: maxTokens, min_tokens: minTokens } = meta;
    const limits = [maxLength, overlap, maxTokens, minTokens];
    const inRange = overlap >= 0 && overlap < maxLength && maxTokens >= 1 && maxTokens <= MOST_TOKENS;
    if (!limits.every(Number.isInteger) || !inRange || !(minTokens >= 1 && minTokens <= 64))
      throw new Error(`unknown limits ${shown(limits)}`);
    this.cutter = new Cutter(maxLength, overlap, maxTokens);
    /** @type {number} */
    this.minTokens = minTokens;
    /** @type {Map<string, Decoder>} */
    this.decoders = new Map(
      Object.entries(meta.tasks).map(([task, own]) => [task, new Decoder(own, tensors, kernels)]),
    );
    const encoder = new Encoder(meta.features, meta.vocabularies);
    this.words = new WordTables(words, meta.tables, encoder, maxTokens);
    this.program = sentences;
  }

  /**
   * Yield one prediction per item, in order; items are read chunk by chunk.
   * @param {Iterable<Sentence>} sentences
   * @param {string[]} tasks
   * @param {boolean} confidence Whether to compute the probabilities of labels.
   * @param {string[]} bySentence The tasks that read each sentence of a text by itself.
   * @param {number} [chunkSize] The number of items per chunk.
   * @returns {Generator<Prediction>}
   */
  *run(sentences, tasks, confidence, bySentence, chunkSize) {
    for (const chunk of bounded(sentences, chunkSize)) {
      const found = running(() => this.#predict(chunk, tasks, confidence, bySentence));
      yield* found;
    }
  }

  #predict(
    /** @type {Sentence[]} */ sentences,
    /** @type {string[]} */ tasks,
    /** @type {boolean} */ confidence,
    /** @type {string[]} */ bySentence,
  ) {
    const results = new Map(tasks.map((task) => [task, new Results(this.#decoder(task), sentences.length)]));
    const batches = new Batches(this, sentences);
    for (const [together, pieces] of this.cutter.passes(sentences, tasks, bySentence))
      for (const { indices, mask, scores } of batches.of(pieces, together))
        for (const task of together)
          results.get(task)?.add(scores.get(task), mask, pieces, indices, confidence);
    const found = [...results].map(
      ([task, own]) => /** @type {const} */ ([task, own.predictions(confidence)]),
    );
    return sentences.map((sentence, row) => {
      const byTask = new Map(found.map(([task, own]) => [task, own[row]]));
      return new Prediction(sentence, byTask, this.decoders);
    });
  }

  #decoder(/** @type {string} */ task) {
    return /** @type {Decoder} */ (this.decoders.get(task));
  }

  /** Return the mean logits of each sentence over its windows, `[N, S]`. */
  logits(/** @type {Sentence[]} */ sentences, /** @type {string} */ task) {
    return running(() => {
      const result = new Results(this.#decoder(task), sentences.length);
      const batches = new Batches(this, sentences);
      for (const [, pieces] of this.cutter.passes(sentences, [task], []))
        for (const { indices, mask, scores } of batches.of(pieces, [task]))
          result.add(scores.get(task), mask, pieces, indices, false);
      return result.meanLogits();
    });
  }

  /**
   * Return the probabilities of the output labels of a task, `[T][K]` per sentence.
   * @param {Sentence[]} sentences
   * @param {string} task
   * @returns {number[][][]}
   */
  tokenProbabilities(sentences, task) {
    return running(() => {
      const decoder = this.#decoder(task),
        K = decoder.outputs.length;
      const found = sentences.map((sentence) => sentence.words.map(() => /** @type {number[]} */ ([])));
      const batches = new Batches(this, sentences);
      for (const [, pieces] of this.cutter.passes(sentences, [task], []))
        for (const { indices, mask, scores } of batches.of(pieces, [task])) {
          const { data, shape } = decoder.probabilities(scores.get(task), mask);
          indices.forEach((index, b) => {
            const { row, start, keepStart, keepEnd } = pieces[index];
            for (let t = keepStart; t < keepEnd; ++t) {
              const at = (b * shape[1] + t - start) * K;
              found[row][t] = Array.from(data.subarray(at, at + K));
            }
          });
        }
      return found;
    });
  }
}

/** The sentences of a chunk as batches of rows of tables, and the scores of the network. */
class Batches {
  constructor(/** @type {Predictor} */ predictor, /** @type {Sentence[]} */ sentences) {
    this.predictor = predictor;
    this.seconds = sentences.map((sentence) => sentence.second);
    const words = sentences.flatMap((sentence) => sentence.words);
    const { ids, tables } = words.length
      ? predictor.words.find(words)
      : { ids: new Int32Array(), tables: new Map() };
    this.ids = ids;
    this.tables = tables;
    let start = 0;
    this.starts = sentences.map((sentence) => (start += sentence.words.length) - sentence.words.length);
  }

  /**
   * Yield, per batch, the indices of its windows, their mask, and the scores of tasks.
   * @param {Piece[]} pieces
   * @param {string[]} tasks
   */
  *of(pieces, tasks) {
    for (const indices of this.predictor.cutter.batches(pieces)) {
      const { ids, mask } = this.#padded(indices.map((i) => pieces[i]));
      const inputs = new Map([["ids", ids], ["mask", mask], ...this.tables]);
      yield { indices, mask, scores: this.predictor.program.run(inputs, tasks) };
    }
  }

  /** Return rows of ids, padded on the right, and their mask. */
  #padded(/** @type {Piece[]} */ pieces) {
    let parts = pieces.map(({ row, start, end }) => ({ at: this.starts[row] + start, length: end - start }));
    if (this.seconds[pieces[0].row] !== null) {
      // For pairs, the rows of all first sentences precede the rows of all second ones.
      const cuts = pieces.map(({ row }) => this.seconds[row] ?? 0);
      const firsts = parts.map(({ at }, i) => ({ at, length: cuts[i] }));
      parts = [
        ...firsts,
        ...parts.map(({ at, length }, i) => ({ at: at + cuts[i], length: length - cuts[i] })),
      ];
    }
    const width = parts.reduce((most, { length }) => Math.max(most, length), this.predictor.minTokens);
    const ids = make([parts.length, width], "int64"),
      mask = make([parts.length, width], "bool");
    parts.forEach(({ at, length }, i) => {
      ids.data.set(this.ids.subarray(at, at + length), i * width);
      mask.data.fill(1, i * width, i * width + length);
    });
    return { ids, mask };
  }
}

/** The outputs for one task, of the N sentences of a chunk. */
class Results {
  /** @type {Map<number, [number, Readout][]>} */
  #readouts = new Map();
  /** @type {(Float64Array | null)[]} */
  #sums;
  /** @type {number[]} */
  #counts;

  constructor(/** @type {Decoder} */ decoder, /** @type {number} */ count) {
    this.decoder = decoder;
    this.#sums = new Array(count).fill(null);
    this.#counts = new Array(count).fill(0);
  }

  /**
   * Add the scores of a batch of windows.
   * @param {NDArray} scores `[B, T, K]` or `[B, S]`
   * @param {NDArray} mask
   * @param {Piece[]} pieces
   * @param {number[]} indices The windows of the batch.
   * @param {boolean} confidence
   */
  add(scores, mask, pieces, indices, confidence) {
    const windows = indices.map((i) => pieces[i]);
    if (this.decoder.level === "sentence") {
      const width = scores.shape[1];
      windows.forEach(({ row }, b) => {
        const sum = (this.#sums[row] ??= new Float64Array(width));
        for (let k = 0; k < width; ++k) sum[k] += scores.data[b * width + k];
        this.#counts[row] += 1;
      });
      return;
    }
    this.decoder.read(scores, mask, windows, confidence).forEach((readout, b) => {
      const { row, start } = windows[b];
      const own = this.#readouts.get(row) ?? [];
      own.push([start, readout]);
      this.#readouts.set(row, own);
    });
  }

  /** Return the mean logits over windows, `[N, S]`; the logits of padding without windows. */
  meanLogits() {
    const padding = /** @type {NDArray} */ (this.decoder.padding),
      width = padding.size;
    const means = make([this.#sums.length, width], "float32");
    this.#sums.forEach((sum, row) => {
      means.data.set(sum ? sum.map((own) => own / this.#counts[row]) : padding.data, row * width);
    });
    return means;
  }

  /** @returns {TaskPrediction[]} The prediction for each sentence. */
  predictions(/** @type {boolean} */ confidence) {
    if (this.decoder.level === "sentence") {
      const { values, confidence: certain } = this.decoder.conclude(this.meanLogits(), confidence);
      return values.map((labels, row) => ({ labels, confidence: certain[row], spans: null, coverage: null }));
    }
    return this.#sums.map((_, row) => {
      // Windows come in the order of their batches.
      const own = (this.#readouts.get(row) ?? []).sort(([a], [b]) => a - b).map(([, readout]) => readout);
      return mergeTokens(own, this.decoder, confidence);
    });
  }
}

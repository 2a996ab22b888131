// A model that labels texts; see runtime/mtl_runtime/model.py.
import { abstain, checkThreshold } from "./abstention.js";
import { MtlError, didYouMean, shown } from "./errors.js";
import { Predictor } from "./predictor.js";
import { readSentences } from "./sentences.js";

/** @typedef {import("./sentences.js").Item} Item */
/** @typedef {import("./sentences.js").Sentence} Sentence */
/** @typedef {import("./prediction.js").Prediction} Prediction */
/**
 * @typedef {object} Options
 * @property {string[]} [tasks] The tasks; by default all but those whose labels are derived from the text.
 * @property {boolean} [confidence] Whether to compute the probabilities of labels.
 * @property {"sentence" | "record"} [unit] The unit of text that the tasks read; by default as they were trained.
 * @property {boolean} [splitSentences] Whether there is one prediction per sentence instead of one per text.
 * @property {number} [chunkSize] The number of texts that are labelled at once.
 * @property {number} [abstain] Answers whose confidence is below this probability are null.
 */
/**
 * @typedef {object} TaskDescription
 * @property {"label" | "set" | "number" | "distribution"} form The kind of its values.
 * @property {"token" | "sentence"} level Whether each token or each sentence has a value.
 * @property {string[]} labels
 * @property {boolean} spans Whether the labels are tags of spans.
 * @property {"sentence" | "record"} unit Whether it reads each sentence of a text by itself, or the whole text.
 * @property {boolean} pairs Whether it compares two sentences.
 */

const OPTIONS = ["tasks", "confidence", "unit", "splitSentences", "chunkSize", "abstain"];

/** A model, ready to use. */
export class Model {
  /** @type {Predictor} */
  #predictor;
  /** @type {Map<string, any>} */
  #tasks;

  constructor(/** @type {import("./bundle.js").Bundle} */ bundle) {
    this.#predictor = new Predictor(bundle);
    this.#tasks = new Map(Object.entries(bundle.meta.tasks));
  }

  /** The names of its tasks. */
  get tasks() {
    return [...this.#tasks.keys()];
  }

  /**
   * Return the properties of a task.
   * @param {string} task
   * @returns {TaskDescription}
   */
  describe(task) {
    const [own] = this.select([task]),
      { form, level, outputs, scheme } = this.#decoder(own);
    const { unit, pairs } = this.#tasks.get(own);
    return { form, level, labels: [...outputs], spans: scheme !== null, unit, pairs };
  }

  /**
   * Return the labels of texts: task to one item per text.
   * @param {Iterable<Item>} sentences Raw texts, or lists of words; two of them each for tasks that compare sentences.
   * @param {Options} options
   * @returns {Record<string, any[]>}
   */
  predict(sentences, options = {}) {
    const found = this.annotate(sentences, options);
    const labels = Object.fromEntries(
      this.select(options.tasks).map((task) => [task, /** @type {any[]} */ ([])]),
    );
    for (const prediction of found)
      for (const [task, value] of Object.entries(prediction.labels)) labels[task].push(value);
    return labels;
  }

  /**
   * Return an iterator over predictions, one per text, in order. Texts are read and labelled chunk by chunk.
   * @param {Iterable<Item>} sentences
   * @param {Options} options
   * @returns {Generator<Prediction>}
   */
  annotate(sentences, options = {}) {
    if (options === null || typeof options !== "object")
      throw new MtlError(`expected options, such as {confidence: true}, got ${shown(options)}`);
    for (const name of Object.keys(options))
      if (!OPTIONS.includes(name))
        throw new MtlError(`unknown option ${shown(name)}${didYouMean(name, OPTIONS)}`);
    const {
      unit,
      splitSentences = false,
      chunkSize,
      abstain: threshold = null,
      confidence = false,
    } = options;
    const selected = this.select(options.tasks),
      pairs = this.#comparePairs(selected);
    if (pairs && (splitSentences || unit === "sentence"))
      throw new MtlError("pairs are not split into sentences; leave out splitSentences and unit");
    if (splitSentences && unit === "record")
      throw new MtlError("splitSentences: true and unit: 'record' exclude each other");
    if (chunkSize !== undefined && !(Number.isInteger(chunkSize) && chunkSize >= 1))
      throw new MtlError(`chunkSize: expected a whole number from 1, got ${shown(chunkSize)}`);
    if (threshold !== null) checkThreshold(threshold);
    const bySentence = this.#bySentence(selected, unit);
    const read = readSentences(sentences, pairs),
      stream = splitSentences ? allSplit(read) : read;
    const found = this.#predictor.run(
      stream,
      selected,
      confidence || threshold !== null,
      bySentence,
      chunkSize,
    );
    return threshold === null ? found : sure(found, threshold, confidence);
  }

  /**
   * Return the labels of a task, and per text the probability of each label; of taggers, per token of a text.
   * @param {Iterable<Item>} sentences
   * @param {string} [task] A task with one label per sentence or token; by default the only task.
   * @returns {{labels: string[], probabilities: number[][] | number[][][]}}
   */
  probabilities(sentences, task) {
    const selected = this.select(task ? [task] : undefined);
    if (selected.length > 1)
      throw new MtlError(`expected the name of a task, one of: ${selected.join(", ")}`);
    const read = [...readSentences(sentences, this.#comparePairs(selected))];
    const decoder = this.#decoder(selected[0]);
    if (decoder.form !== "label")
      throw new MtlError(
        `task ${shown(selected[0])}: has no probabilities of labels, it predicts a ${decoder.form}`,
      );
    if (decoder.level === "token")
      return {
        labels: [...decoder.outputs],
        probabilities: this.#predictor.tokenProbabilities(read, selected[0]),
      };
    const probabilities = decoder.labelProbabilities(this.#predictor.logits(read, selected[0]));
    return { labels: [...decoder.labels], probabilities };
  }

  #decoder(/** @type {string} */ task) {
    return /** @type {import("./decoding.js").Decoder} */ (this.#predictor.decoders.get(task));
  }

  // ---- tasks

  /** Return the named tasks; by default all whose labels are not derived from the text, or else all. */
  select(/** @type {string[] | undefined} */ tasks = undefined) {
    if (tasks && !(Array.isArray(tasks) && tasks.every((task) => typeof task === "string")))
      throw new MtlError(`tasks: expected a list of names, got ${shown(tasks)}`);
    for (const task of tasks ?? [])
      if (!this.#tasks.has(task))
        throw new MtlError(`the model has no task ${shown(task)}${didYouMean(task, this.tasks)}`);
    if (tasks?.length) return this.tasks.filter((task) => tasks.includes(task));
    const own = this.tasks.filter((task) => !this.#tasks.get(task).derived);
    return own.length ? own : this.tasks;
  }

  /** Return whether the tasks compare two sentences. */
  #comparePairs(/** @type {string[]} */ tasks) {
    const pairs = tasks.filter((task) => this.#tasks.get(task).pairs);
    if (pairs.length && pairs.length < tasks.length)
      throw new MtlError(
        `${pairs.join(", ")}: compares two sentences, the other tasks read one; name tasks of one kind`,
      );
    return pairs.length > 0;
  }

  /** Return the tasks that read each sentence of a text by itself. */
  #bySentence(/** @type {string[]} */ tasks, /** @type {string | undefined} */ unit) {
    if (unit !== undefined && unit !== "sentence" && unit !== "record")
      throw new MtlError(`unit: expected 'sentence' or 'record', got ${shown(unit)}`);
    return tasks.filter((task) => (unit ?? this.#tasks.get(task).unit) === "sentence");
  }
}

function* allSplit(/** @type {Iterable<Sentence>} */ sentences) {
  for (const sentence of sentences) yield* sentence.split();
}

function* sure(
  /** @type {Iterable<Prediction>} */ found,
  /** @type {number} */ threshold,
  /** @type {boolean} */ confidence,
) {
  for (const prediction of found) yield abstain(prediction, threshold, confidence);
}

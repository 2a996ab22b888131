// Predictions for users: one per sentence, with the labels of all tasks; see mtl/inference/prediction.py.
import { OUTSIDE, convert, readSpans } from "./spans.js";

/** @typedef {import("./decoding.js").Decoder} Decoder */
/** @typedef {import("./decoding.js").FoundSpan} FoundSpan */
/** @typedef {import("./decoding.js").Readout} Readout */
/** @typedef {import("./sentences.js").Sentence} Sentence */
/**
 * The prediction of one task.
 * @typedef {object} TaskPrediction
 * @property {any} labels The value of the sentence, or a list with one value per token.
 * @property {any} confidence The same for probabilities; null for other values, or if not requested.
 * @property {FoundSpan[] | null} spans The spans of span tags; null if confidences were not requested.
 * @property {[number, number] | null} coverage The number of answers, and this number with the unsure answers
 *     that the model leaves out; null: it leaves out none.
 */
/**
 * @typedef {object} TextSpan
 * @property {string} type
 * @property {[number, number]} tokens The first token and the token after the last one.
 * @property {string} text
 * @property {number} [start] Its place in the input, in UTF-16 units; absent if the input was words.
 * @property {number} [end]
 * @property {number} [confidence] The joint probability of its tags, if requested.
 */

const DIGITS = 1e6;
const round = (/** @type {number} */ number) => Math.round(number * DIGITS) / DIGITS;

/**
 * Return probabilities with six decimal places.
 * @param {any} confidence
 * @returns {any}
 */
function rounded(confidence) {
  if (confidence === null) return null;
  if (typeof confidence === "number") return round(confidence);
  if (Array.isArray(confidence)) return confidence.map(rounded);
  return Object.fromEntries(Object.entries(confidence).map(([label, own]) => [label, rounded(own)]));
}

/**
 * Return the prediction of a sentence of tokens from the values of its windows.
 * @param {Readout[]} readouts Empty for a sentence without tokens.
 * @param {Decoder} decoder
 * @param {boolean} confidence Whether to include confidences.
 * @returns {TaskPrediction}
 */
export function mergeTokens(readouts, decoder, confidence) {
  const values = readouts.flatMap((readout) => readout.values);
  const certain = readouts.flatMap((readout) => readout.confidence);
  const tagged = decoder.scheme && values.some((value) => value !== OUTSIDE);
  const labels = tagged && decoder.scheme ? convert(values, decoder.scheme) : values;
  const none = certain.length > 0 && certain.every((own) => own === null);
  // Numbers and distributions have no confidence.
  if (!confidence || none) return { labels, confidence: null, spans: null, coverage: null };
  return { labels, confidence: certain, spans: decoder.scheme ? mergeSpans(readouts) : null, coverage: null };
}

/** Return the spans of a sentence, joined where they cross from one window into the next. */
function mergeSpans(/** @type {Readout[]} */ readouts) {
  if (readouts.length === 1) return readouts[0].spans;
  const parts = readouts.flatMap((readout) => readout.spans);
  return readSpans(readouts.flatMap((readout) => readout.values)).map((span) => {
    // Windows are read independently, so the confidence is the product over the parts.
    let confidence = 1;
    for (let missing = span.end - span.start; missing > 0;) {
      const part = /** @type {FoundSpan} */ (parts.shift());
      missing -= part.span.end - part.span.start;
      confidence *= part.confidence;
    }
    return { span, confidence };
  });
}

/** The predictions of several tasks for one sentence, or for a pair of sentences. */
export class Prediction {
  /**
   * @param {Sentence} sentence
   * @param {Map<string, TaskPrediction>} byTask
   * @param {Map<string, Decoder>} decoders
   */
  constructor(sentence, byTask, decoders) {
    this.sentence = sentence;
    this.byTask = byTask;
    this.decoders = decoders;
  }

  /** The words of the sentence, for pairs of the first one. */
  get tokens() {
    return this.sentence.tokens;
  }

  /** The words of the second sentence of a pair, else null. */
  get tokensB() {
    return this.sentence.tokensB;
  }

  /** The raw text of the (first) sentence; null if the input was words. */
  get text() {
    return this.sentence.text;
  }

  /** Start and end of each word in the input, in UTF-16 units; empty if the input was words. */
  get offsets() {
    return this.sentence.offsets;
  }

  /** Return whether the sentence has no label: it has no words, or the model is not sure. */
  lacksLabel(/** @type {string} */ task) {
    const own = /** @type {TaskPrediction} */ (this.byTask.get(task));
    if (this.decoders.get(task)?.level === "token") return false;
    const blank = !this.tokens.length || this.tokensB?.length === 0;
    return blank || this.#leftOut(own);
  }

  #leftOut(/** @type {TaskPrediction} */ own) {
    return own.coverage?.[0] === 0 && own.coverage[1] === 1;
  }

  /**
   * Task to the value of the sentence, or to a list with one value per token.
   * @returns {Record<string, any>}
   */
  get labels() {
    return Object.fromEntries(
      [...this.byTask].map(([task, own]) => {
        const decoder = /** @type {Decoder} */ (this.decoders.get(task));
        if (decoder.level === "token")
          return [task, own.labels.map((/** @type {any} */ item) => plain(item))];
        return [task, this.#leftOut(own) ? null : plain(own.labels)];
      }),
    );
  }

  /**
   * Task to confidence, for tasks that have one: a probability, one per label of a set, or a list with one per token.
   * @returns {Record<string, any>}
   */
  get confidence() {
    const found = [...this.byTask].filter(([, own]) => own.confidence !== null);
    return Object.fromEntries(found.map(([task, own]) => [task, own.confidence]));
  }

  /**
   * Task to its spans, for tasks with span tags.
   * @returns {Record<string, TextSpan[]>}
   */
  get spans() {
    const found = [...this.byTask].filter(([task]) => this.decoders.get(task)?.scheme);
    return Object.fromEntries(found.map(([task, own]) => [task, this.#spans(own)]));
  }

  #spans(/** @type {TaskPrediction} */ own) {
    if (own.spans) return own.spans.map(({ span, confidence }) => this.#span(span, confidence));
    const tags = own.labels.map((/** @type {string | null} */ tag) => tag ?? OUTSIDE);
    return readSpans(tags).map((span) => this.#span(span));
  }

  /**
   * @param {import("./spans.js").Span} span
   * @param {number} [confidence]
   * @returns {TextSpan}
   */
  #span({ type, start, end }, confidence) {
    const sentence = this.sentence,
      certain = confidence === undefined ? {} : { confidence };
    /** @type {[number, number]} */
    const tokens = [start, end];
    if (sentence.text === null || !sentence.offsets.length)
      return { type, tokens, text: sentence.tokens.slice(start, end).join(" "), ...certain };
    // Cut from the raw text: joined words would not have its original spaces.
    const first = sentence.offsets[start][0],
      last = sentence.offsets[end - 1][1];
    const text = sentence.text.slice(first - sentence.start, last - sentence.start);
    return { type, tokens, start: first, end: last, text, ...certain };
  }

  /**
   * Return the record that `mtl predict` writes as JSON, with offsets in UTF-16 units.
   * @returns {Record<string, any>}
   */
  toJSON() {
    const sentence = this.sentence,
      blank = [...this.byTask.keys()].filter((task) => this.lacksLabel(task));
    /** @type {Record<string, any>} */
    const record = {};
    if (sentence.text !== null) record.text = sentence.text;
    record.tokens = sentence.tokens;
    if (sentence.textB !== null) record.text_b = sentence.textB;
    if (sentence.tokensB !== null) record.tokens_b = sentence.tokensB;
    if (sentence.offsets.length) record.offsets = sentence.offsets;
    Object.assign(record, this.labels);
    for (const task of blank) record[task] = null;
    const certain = Object.entries(this.confidence).filter(([task]) => !blank.includes(task));
    const spans = Object.entries(this.spans).map(([task, own]) => [task, own.map(roundedSpan)]);
    if (spans.length) record.spans = Object.fromEntries(spans);
    if (certain.length)
      record.confidence = Object.fromEntries(certain.map(([task, own]) => [task, rounded(own)]));
    return record;
  }
}

const roundedSpan = (/** @type {TextSpan} */ { confidence, ...span }) =>
  confidence === undefined ? span : { ...span, confidence: round(confidence) };

/**
 * Return a value made of JSON types: sets are sorted, and probabilities have six decimal places.
 * @param {any} value
 * @returns {any}
 */
function plain(value) {
  if (Array.isArray(value)) return [...value].sort();
  return value !== null && typeof value === "object" ? rounded(value) : value;
}

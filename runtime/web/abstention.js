// Abstention: answers of low confidence are left out; see mtl/inference/abstention.py.
import { MtlError, shown } from "./errors.js";
import { Prediction } from "./prediction.js";

/** @typedef {import("./prediction.js").TaskPrediction} TaskPrediction */

/** Throw an error if a threshold is not a probability. */
export function checkThreshold(/** @type {unknown} */ threshold) {
  if (typeof threshold !== "number" || !(threshold >= 0 && threshold <= 1))
    throw new MtlError(`abstain: expected a probability from 0 to 1, got ${shown(threshold)}`);
}

/** Return the confidence of a value of a sentence or token as one number; labels of a set are independent. */
function certainty(/** @type {any} */ value, /** @type {any} */ confidence) {
  if (typeof confidence === "number") return confidence;
  return Object.entries(confidence).reduce((all, [label, p]) => all * (value.includes(label) ? p : 1 - p), 1);
}

/**
 * Return a prediction without the answers whose confidence is below a threshold. A span is one answer.
 * @param {Prediction} prediction With confidences.
 * @param {number} threshold
 * @param {boolean} confidence Whether to keep the confidences.
 */
export function abstain(prediction, threshold, confidence) {
  const found = [...prediction.byTask].map(([task, own]) => {
    const sure = prediction.lacksLabel(task) ? own : sureAnswers(own, threshold);
    return /** @type {[string, TaskPrediction]} */ ([
      task,
      confidence ? sure : { ...sure, confidence: null, spans: null },
    ]);
  });
  return new Prediction(prediction.sentence, new Map(found), prediction.decoders);
}

/**
 * @param {TaskPrediction} own
 * @param {number} threshold
 * @returns {TaskPrediction}
 */
function sureAnswers(own, threshold) {
  const { labels, confidence, spans } = own;
  if (confidence === null) {
    const count = Array.isArray(labels) ? labels.length : 1;
    return { ...own, coverage: [count, count] };
  }
  if (!Array.isArray(confidence))
    return { ...own, coverage: [Number(certainty(labels, confidence) >= threshold), 1] };
  const keep = confidence.map((number, i) => certainty(labels[i], number) >= threshold);
  /** @type {[number, number]} */
  let coverage = [keep.filter(Boolean).length, keep.length];
  const sure = spans?.filter((found) => found.confidence >= threshold) ?? null;
  if (spans && sure) {
    coverage = [sure.length, spans.length];
    for (const { span, confidence: number } of spans) keep.fill(number >= threshold, span.start, span.end);
  }
  const kept = labels.map((/** @type {any} */ value, /** @type {number} */ i) => (keep[i] ? value : null));
  return { ...own, labels: kept, spans: sure, coverage };
}

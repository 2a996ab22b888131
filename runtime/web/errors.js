// Errors, and the way in which messages show names and values.

/** An error in the input of a user. */
export class MtlError extends Error {
  name = "MtlError";
}

/** A file that is not a whole bundle, or one that this version cannot read or run. */
export class BundleError extends Error {
  name = "BundleError";
}

/** A graph that is not well formed, or has an operator that this version does not know. */
export class GraphError extends Error {
  name = "GraphError";
}

const NAMES = 100; // the greatest number of known names in a message
const NAME = 80; // the greatest length of a known name

/**
 * Return a value as messages show it.
 * @param {unknown} value
 * @returns {string}
 */
export function shown(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  return `{${Object.entries(value)
    .map(([key, own]) => `${quoted(key)}: ${shown(own)}`)
    .join(", ")}}`;
}

function quoted(/** @type {string} */ text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Return a text with its middle left out, so that its length is at most `length`. */
function shorten(/** @type {string} */ text, /** @type {number} */ length) {
  if (text.length <= length) return text;
  const end = Math.floor(length / 3);
  return `${text.slice(0, length - end - 1)}…${text.slice(-end)}`;
}

/**
 * Return `; did you mean 'x'?`, or the list of known names if none is similar.
 * @param {string} name
 * @param {string[]} known
 */
export function didYouMean(name, known) {
  const names = [...known].sort();
  const asked = name.slice(0, 100);
  let near = "",
    best = 0.6;
  for (const own of names) {
    const ratio = similarity(own, asked);
    if (ratio >= best) [near, best] = [own, ratio];
  }
  if (near) return `; did you mean ${shown(shorten(near, NAME))}?`;
  const listed = names
    .slice(0, NAMES)
    .map((own) => shorten(own, NAME))
    .join(", ");
  const more = names.length > NAMES ? `, … (${names.length} in all)` : "";
  return names.length ? `; expected one of: ${listed}${more}` : "";
}

/** Return the share of characters in common blocks, from 0 to 1 (Ratcliff and Metzener 1988). */
function similarity(/** @type {string} */ a, /** @type {string} */ b) {
  return a.length + b.length ? (2 * common(a, b)) / (a.length + b.length) : 1;
}

/**
 * Return the number of characters in the longest common block and, recursively, on both of its sides.
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
function common(a, b) {
  let size = 0,
    inA = 0,
    inB = 0;
  for (let i = 0; i < a.length; ++i)
    for (let j = 0; j < b.length; ++j) {
      let k = 0;
      while (i + k < a.length && a[i + k] === b[j + k]) ++k;
      if (k > size) [size, inA, inB] = [k, i, j];
    }
  if (!size) return 0;
  return size + common(a.slice(0, inA), b.slice(0, inB)) + common(a.slice(inA + size), b.slice(inB + size));
}

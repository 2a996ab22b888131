// Spans (names, phrases) and the tags that encode them: BIO, IOB1, IOBES, BILOU, BMES; see mtl/text/spans.py.
import { MtlError, shown } from "./errors.js";

export const OUTSIDE = "O";
const PREFIXES = { bio: "BI", iob1: "BI", iobes: "BIES", bilou: "BILU", bmes: "BMES" };
/** @typedef {keyof typeof PREFIXES} Scheme */
export const SCHEMES = Object.keys(PREFIXES);
// Prefix of any scheme to the prefix of IOBES with the same meaning.
const MEANINGS = new Map(Object.entries({ O: "O", B: "B", I: "I", E: "E", S: "S", L: "E", U: "S", M: "I" }));
// Scheme to its prefixes, by the prefix of IOBES.
const LETTERS = Object.fromEntries(
  Object.entries(PREFIXES).map(([scheme, letters]) => [
    scheme,
    Object.fromEntries([...letters].map((letter) => [MEANINGS.get(letter), letter])),
  ]),
);
const EXPECTED = "O, or B, I, E or S (in other schemes L, U or M) with a type, such as B-PER";

/** @typedef {{type: string, start: number, end: number}} Span The tokens from `start` to before `end`. */

/**
 * Split a tag into its prefix, as in IOBES, and its type, which is empty if the tag has none.
 * @param {string} tag
 * @returns {[string, string]}
 */
export function parseTag(tag) {
  // Only the first dash separates, since types may contain dashes (B-geo-loc).
  const dash = tag.indexOf("-");
  const kind = dash < 0 ? "" : tag.slice(dash + 1);
  const meaning = MEANINGS.get(dash < 0 ? tag : tag.slice(0, dash));
  if (meaning === undefined || (dash >= 0 && !kind) || (tag !== OUTSIDE && meaning === OUTSIDE))
    throw new MtlError(`${shown(tag)} is not a span tag: expected ${EXPECTED}${advice(tag)}`);
  return [meaning, kind];
}

function advice(/** @type {string} */ tag) {
  const dash = tag.lastIndexOf("-");
  const kind = tag.slice(0, Math.max(dash, 0)),
    suffix = tag.slice(dash + 1);
  if (kind && MEANINGS.has(suffix) && suffix !== OUTSIDE)
    return `; write the letter first: ${suffix}-${kind}`;
  return "; for labels that are not spans, use a head without a scheme and a metric such as accuracy";
}

/** Return the tag of a prefix and a type. */
export const joinTag = (/** @type {string} */ prefix, /** @type {string} */ kind) =>
  kind ? `${prefix}-${kind}` : prefix;

/**
 * Decode the tags of a sentence, in any of the schemes, into spans.
 *
 * A tag continues the span before it if its prefix is I or E, its type is the same, and the span is still open.
 * @param {Iterable<string>} tags
 * @returns {Span[]}
 */
export function readSpans(tags) {
  /** @type {Span[]} */
  const spans = [];
  /** @type {string | null} */
  let open = null;
  let position = 0;
  for (const tag of tags) {
    const [prefix, kind] = parseTag(tag);
    if (prefix === OUTSIDE) open = null;
    else {
      if ((prefix === "I" || prefix === "E") && kind === open) spans[spans.length - 1].end = position + 1;
      else spans.push({ type: kind, start: position, end: position + 1 });
      open = prefix === "B" || prefix === "I" ? kind : null;
    }
    ++position;
  }
  return spans;
}

/**
 * Encode spans, which are sorted and do not overlap, as the tags of a sentence of `length` tokens.
 * @param {Span[]} spans
 * @param {number} length
 * @param {Scheme} scheme
 * @returns {string[]}
 */
function writeTags(spans, length, scheme) {
  const letters = LETTERS[scheme];
  /** @type {string[]} */
  const tags = new Array(length).fill(OUTSIDE);
  let before = { type: "", start: 0, end: 0 };
  for (const span of spans) {
    tags.fill(joinTag(letters.I, span.type), span.start, span.end);
    const touches = before.type === span.type && before.end === span.start && span.start > 0;
    if (scheme !== "iob1" || touches) tags[span.start] = joinTag("B", span.type);
    if ("E" in letters)
      tags[span.end - 1] = joinTag(letters[span.end - span.start > 1 ? "E" : "S"], span.type);
    before = span;
  }
  return tags;
}

/** Convert the tags of a sentence to another scheme; the spans stay the same. */
export const convert = (/** @type {string[]} */ tags, /** @type {Scheme} */ scheme) =>
  writeTags(readSpans(tags), tags.length, scheme);

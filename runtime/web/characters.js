// Classes of characters as Python knows them, for regular expressions with the flag `u`.

/** Blanks: the characters of `str.isspace`. The class `\s` of JavaScript has others. */
export const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

/** The characters of the class `\w` of Python. */
export const WORD = String.raw`\p{L}\p{N}_`;

// Digits that are not decimal, such as superscripts: the property Numeric_Type=Digit.
const OTHER_DIGITS =
  String.raw`\u{b2}\u{b3}\u{b9}\u{1369}-\u{1371}\u{19da}\u{2070}\u{2074}-\u{2079}\u{2080}-\u{2089}` +
  String.raw`\u{2460}-\u{2468}\u{2474}-\u{247c}\u{2488}-\u{2490}\u{24ea}\u{24f5}-\u{24fd}\u{24ff}\u{2776}-\u{277e}` +
  String.raw`\u{2780}-\u{2788}\u{278a}-\u{2792}\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}` +
  String.raw`\u{1f100}-\u{1f10a}`;

const CHUNK = new RegExp(`[^${SPACE}]+`, "gu");
const BLANK = new RegExp(`[${SPACE}]`, "u");
const DIGIT = new RegExp(`[\\p{Nd}${OTHER_DIGITS}]`, "u");
const DIGITS = new RegExp(DIGIT, "gu");
const ALNUM = /^[\p{L}\p{N}]$/u;

/** Return the parts of a text between blanks, as `str.split`. */
export const split = (/** @type {string} */ text) => text.match(CHUNK) ?? [];

/** Return a text without blanks at its end. */
export function trimEnd(/** @type {string} */ text) {
  let end = text.length;
  while (end && BLANK.test(text[end - 1])) --end;
  return text.slice(0, end);
}

/** Return the first character of a text, which may have two UTF-16 units; "" for "". */
export const first = (/** @type {string} */ text) =>
  text === "" ? "" : String.fromCodePoint(/** @type {number} */ (text.codePointAt(0)));

/** Return the number of characters of a text. */
export function length(/** @type {string} */ text) {
  let count = 0;
  for (const _ of text) ++count;
  return count;
}

export const isDigit = (/** @type {string} */ c) => DIGIT.test(c);
export const isDecimal = (/** @type {string} */ c) => /\p{Nd}/u.test(c);
export const isAlnum = (/** @type {string} */ c) => ALNUM.test(c);
export const isAlpha = (/** @type {string} */ c) => /\p{L}/u.test(c);
export const isLower = (/** @type {string} */ c) => /\p{Lowercase}/u.test(c);
export const isUpper = (/** @type {string} */ c) => /\p{Uppercase}/u.test(c);

/** Return a text with 0 for every digit. */
export const withoutDigits = (/** @type {string} */ text) => text.replace(DIGITS, "0");

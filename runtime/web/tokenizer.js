// Rules that split raw text into sentences and words; mtl/text/tokenizer.py explains them.
// Offsets count UTF-16 units, so that `text.slice(start, end)` is a word.
import { SPACE, WORD, first, isAlnum, isDecimal, isLower, split } from "./characters.js";

const TITLES = "Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Gen|Col|Lt|Capt|Sgt|Maj|Sens?|Reps?|Gov|Pres|St|Messrs|Mt|Ft";
const ABBREVIATIONS =
  "Inc|Corp|Co|Ltd|Bros|Jr|Sr|Depts?|Univ|Ave|Blvd|Rd|vs|etc|Figs?|approx|est|ext|cf|eg|ie|Vol" +
  "|Sec|Attn|Arrv|Ph|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat";
const PREFIXES = "e|non|pre|anti|mid|re|post|co|over|multi|pro|ex|sub|semi|neo|counter|intra|un";
const UNITS = "am|pm|mg|kg|km|cm|mm|ml|lbs?|mph|hrs?|yrs?|mins?|k|m|ft|x";
const CLITICS = "s|re|ve|ll|d|m";
const SUFFIXES = "docx?|xlsx?|pdf|txt|html?|jpe?g|png|zip|exe|ppt";

const W = `[${WORD}]`;
const W_DASH = `[${WORD}\\-]`;
const BEFORE = `(?<!${W})`; // no letter, digit or underscore before
const AFTER = `(?!${W})`;
const BORDER = `(?:(?<=${W})${AFTER}|${BEFORE}(?=${W}))`; // \b of Python
const S = `[${SPACE}]`;
const NOT_S = `[^${SPACE}]`;
const D = String.raw`\p{Nd}`;
const HAN = String.raw`\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3134f}`;
const KANA = String.raw`\u3040-\u30ff`;
const LETTER = String.raw`(?![${HAN}${KANA}])[\p{L}\p{Nl}\p{No}]`;
const LETTERS = String.raw`${LETTER}(?:(?![${HAN}${KANA}])[${WORD}]|[\u0300-\u036f\u00ad])*`;
const EMOJI = String.raw`[\u2600-\u27bf\u{1f300}-\u{1faff}][\ufe0f\u{1f3fb}-\u{1f3ff}]?`;
const URL_REST = String.raw`[^${SPACE}<>"]*[^${SPACE}<>"'’”.,;:!?)\]\}]`;

let groups = 0;
/** Return a pattern whose match is never shortened. JavaScript has no sign for that, but lookahead does it. */
function possessive(/** @type {string} */ pattern) {
  const name = `p${++groups}`;
  return `(?=(?<${name}>${pattern}))\\k<${name}>`;
}

// The letters that Python takes for equal when case is ignored, beside the capital letter.
const SAME = /** @type {Record<string, string>} */ ({ i: "\u0130\u0131", k: "\u212a", s: "\u017f" });
/** Return a pattern of letters that ignores case. */
const anyCase = (/** @type {string} */ pattern) =>
  pattern.replace(/[a-z]/gi, (c) => `[${c.toLowerCase()}${c.toUpperCase()}${SAME[c.toLowerCase()] ?? ""}]`);

const domain = () =>
  String.raw`${W}${possessive(`${W_DASH}{0,62}`)}(?:\.${possessive(`${W_DASH}{1,63}`)}){0,8}`;

const TOKEN = new RegExp(
  [
    String.raw`(?:(?:https?|ftp)://|www\.)${URL_REST}`,
    // Mail, domains and names of files.
    String.raw`${W}${possessive(`[${WORD}.+\\-]{0,63}`)}@${domain()}\.[a-zA-Z]{2,}${BORDER}`,
    String.raw`${domain()}\.(?:com|org|net|edu|gov|co\.uk)${BORDER}(?:/${URL_REST})?`,
    String.raw`${possessive(`${W_DASH}{1,64}`)}\.(?:${anyCase(SUFFIXES)})${BORDER}`,
    // Signs: Chinese characters, @mentions and #hashtags, emoticons, emoji and flags.
    `[${HAN}]`,
    `${BEFORE}[@#]${LETTER}${W}*`,
    String.raw`${BEFORE}[<>]?[:;=8xX][\-o^']?[()\[\]DPp\|*3]+${AFTER}`,
    "<3+",
    String.raw`\^_+\^`,
    String.raw`${EMOJI}(?:\u200d${EMOJI})*`,
    String.raw`[\u{1f1e6}-\u{1f1ff}]{2}`,
    // Words with a period: U.S., abbreviations, initials.
    String.raw`(?:${LETTER}\.){2,}`,
    `${BEFORE}(?:(?:${anyCase(`${TITLES}|${ABBREVIATIONS}`)})\\.(?=${S}+${NOT_S}|[,;:)])|No\\.(?=${S}*${D}))`,
    String.raw`${BEFORE}[A-Z]\.(?=${S}+[A-Z])`,
    // Numbers, clitics, words, repeated signs, and all other characters.
    `${D}{3}-${D}{3}-${D}{4}${AFTER}`,
    `${D}{3}-${D}{4}${AFTER}`,
    `${possessive(`${D}+`)}${possessive(`(?:[.,:/]${D}+)*`)}(?:(?=(?:${anyCase(UNITS)})${BORDER})|${W}*)`,
    `(?<=[${WORD}.)])['’](?:${anyCase(CLITICS)})${BORDER}`,
    `${BEFORE}(?:${anyCase(PREFIXES)})-${LETTERS}`,
    `${BEFORE}[A-Z]{1,3}&[A-Z]{1,3}${BORDER}`,
    `${LETTERS}(?:['’]${LETTERS})*`,
    String.raw`\.{2,}|…+|-{2,}|—+|_{2,}|\*{2,}|={2,}|\+{2,}|[!?]+`,
    "``|''|’’|‘[‘’]|<<|>>",
    `[${KANA}]+`,
    W,
    NOT_S,
  ].join("|"),
  "gu",
);

// Contractions that are split further: English clitics, then French elisions (l'homme).
const CONTRACTIONS = new RegExp(
  `^(?:${[
    "(can)(not)|(gon|wan)(na)|(got)(ta)|(y['’])(all)",
    "(ca|wo|do|does|d[i\u0130\u0131]d|[i\u0130\u0131]s|was|are|were|has|have|would|could|should)(nt)",
    `([ldjcmnst]['’]|qu['’])([aei\u0130\u0131ouyhàâéèêëîïôûœ]${W}+)`,
    `(.+?)(n['’]t|['’](?:${CLITICS}))`,
  ].join("|")})$`,
  "iu",
);

/** @typedef {{text: string, start: number, end: number}} Token A word of a text: `text.slice(start, end)`. */

/**
 * Return the words of a text, in order; every character except blanks is in one of them.
 * @param {string} text
 * @returns {Token[]}
 */
export function tokenize(text) {
  const tokens = [];
  let start = 0;
  for (const [chunk, words] of chunks(text)) {
    start = text.indexOf(chunk, start);
    for (const word of words) {
      tokens.push({ text: word, start, end: start + word.length });
      start += word.length;
    }
  }
  return tokens;
}

/**
 * Return the words of a text without their places.
 * @param {string} text
 * @returns {string[]}
 */
export const wordsOf = (text) => [...chunks(text)].flatMap(([, words]) => words);

/**
 * Yield the parts between blanks, each with its words.
 * @param {string} text
 * @returns {Generator<[string, string[]]>}
 */
function* chunks(text) {
  const parts = split(text);
  for (let i = 0; i < parts.length; ++i) {
    const following = parts[i].endsWith(".") ? kindOf(parts[i + 1] ?? "") : "";
    yield [parts[i], parts[i].length <= 32 ? cutCached(parts[i], following) : cut(parts[i], following)];
  }
}

/** Return the kind of the next part: "A" a capital letter, "1" a digit, "a" anything else, "" at the end. */
function kindOf(/** @type {string} */ following) {
  const c = first(following);
  if (c >= "A" && c <= "Z" && c.length === 1) return "A";
  return isDecimal(c) ? "1" : c && "a";
}

/** @type {Map<string, string[]>} */
const known = new Map();
function cutCached(/** @type {string} */ chunk, /** @type {string} */ following) {
  const key = `${chunk} ${following}`;
  let words = known.get(key);
  if (words === undefined) {
    if (known.size === 1 << 16) known.clear();
    known.set(key, (words = cut(chunk, following)));
  }
  return words;
}

/** Return the words of a part that a part of the kind `following` follows. */
function cut(/** @type {string} */ chunk, /** @type {string} */ following) {
  const text = `${chunk} ${following}`;
  /** @type {string[]} */
  const words = [];
  TOKEN.lastIndex = 0; // `matchAll` would copy the long pattern for each chunk
  for (let match = TOKEN.exec(text); match && match.index < chunk.length; match = TOKEN.exec(text)) {
    const parts = CONTRACTIONS.exec(match[0]);
    if (parts) words.push(...parts.slice(1).filter(Boolean));
    else words.push(match[0]);
  }
  return words;
}

const CLOSING = new Set([..."\"'’”»)]}」』）", "''", "’’"]);
const OPENING = new Set([..."\"'‘“«([{¿¡-–—•*", "``", "‘‘"]);
/** Last characters of the tokens after which a sentence may start on the same line. */
const ENDS = new Set([...".!?…。！？", ...CLOSING]);
const NO_END = new RegExp(`^(?:(?:${TITLES}|No|[A-Z])\\.)$`, "u");
const STARTER = new RegExp(
  "^(?:The|An?|It|He|She|They|We|I|You|Th(?:is|at|ese|ose|ere)|[IO]n|At|But|And|So|If|Wh(?:en|ile)" +
    "|As|For|After|Before|However|My|His|Her|Our|Their|Its|What|Why|How|Who|Where)$",
  "u",
);

/**
 * Return the start and end of each sentence of a text, without surrounding blanks.
 * @param {string} text
 * @returns {[number, number][]}
 */
export function splitSentences(text) {
  const tokens = tokenize(text);
  const firsts = firstsOf(text, tokens);
  return firsts.map((start, i) => [tokens[start].start, tokens[(firsts[i + 1] ?? tokens.length) - 1].end]);
}

/** Return the index of the first token of each sentence; see `splitSentences`. */
export const firstTokens = (/** @type {string} */ text) => firstsOf(text, tokenize(text));

function firstsOf(/** @type {string} */ text, /** @type {Token[]} */ tokens) {
  const firsts = tokens.length ? [0] : [];
  const hasLines = text.includes("\n");
  for (let index = 1; index < tokens.length; ++index)
    // Most tokens follow a word, which ends no sentence.
    if ((hasLines || ENDS.has(tokens[index - 1].text.slice(-1))) && starts(text, tokens, index))
      firsts.push(index);
  return firsts;
}

/** Return whether token `index` (at least 1) starts a sentence. */
function starts(/** @type {string} */ text, /** @type {Token[]} */ tokens, /** @type {number} */ index) {
  const token = tokens[index];
  let last = index - 1;
  const gap = text.slice(tokens[last].end, token.start);
  // Up to three closing quotes or brackets may separate the full stop from the blank.
  while (
    last > 0 &&
    last > index - 4 &&
    CLOSING.has(tokens[last].text) &&
    tokens[last].start === tokens[last - 1].end
  )
    --last;
  const before = tokens[last].text;
  const end = before.slice(-1);
  if (gap.split("\n").length > 2) return true;
  // Chinese and Japanese put no blank between sentences.
  if ("。！？".includes(end)) return !"」』）。！？".includes(token.text);
  if (!gap || !".!?…".includes(end)) return false;
  // The period belongs to the word, as in "U.S." or "Dr.".
  if (isAlnum(first(before))) return STARTER.test(token.text) && !NO_END.test(before);
  return OPENING.has(token.text) || (isAlnum(first(token.text)) && !isLower(first(token.text)));
}

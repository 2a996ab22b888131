// Answers requests of tests: one JSON object per line of standard input, one per line of standard output.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { load, splitSentences, tokenize } from "../../../runtime/web/mtl.js";
import { NDArray, make } from "../../../runtime/web/arrays.js";
import { Kernels } from "../../../runtime/web/kernels.js";
import { Operators } from "../../../runtime/web/operators.js";
import { vocabulary, wordShape } from "../../../runtime/web/vocabulary.js";

async function operators() {
  const file = new URL("../../../runtime/web/mtl.wasm", import.meta.url);
  return new Operators(await Kernels.from(await WebAssembly.compile(readFileSync(file))));
}

/** Arrays travel as {numbers, shape, dtype}, infinite numbers as {float}. */
function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if ("float" in value) return Number(value.float);
  const made = make(value.shape, value.dtype);
  made.data.set(value.numbers);
  return made;
}

function encoded(value) {
  if (Array.isArray(value)) return value.map(encoded);
  if (!(value instanceof NDArray)) return value;
  const numbers = Array.from(value.data, (own) => (Number.isFinite(own) ? own : String(own)));
  return { numbers, shape: value.shape, dtype: value.dtype };
}

const models = new Map();
async function model(path) {
  if (!models.has(path)) models.set(path, await load(new Uint8Array(readFileSync(path))));
  return models.get(path);
}

const ANSWERS = {
  split: ({ texts }) => texts.map((text) => ({ tokens: tokenize(text), sentences: splitSentences(text) })),
  shape: ({ words }) => words.map(wordShape),
  encode: ({ feature, data, words }) => words.map((word) => vocabulary(feature, data).encode(word)),
  load: async ({ path }) => (await model(path)).tasks,
  open: async ({ source }) => (await load(source)).tasks,
  predict: async ({ path, sentences, options }) => (await model(path)).predict(sentences, options),
  annotate: async ({ path, sentences, options }) => [...(await model(path)).annotate(sentences, options)],
  probabilities: async ({ path, sentences, task }) => (await model(path)).probabilities(sentences, task),
  operators: async ({ names }) => {
    const known = await operators();
    return names.filter((name) => !known.find(name));
  },
  run: async ({ cases }) => {
    const known = await operators();
    return cases.map(({ name, values, named }) => {
      const { run, names } = known.find(name);
      const all = values.map(decoded);
      for (const [key, value] of Object.entries(named)) all[names.indexOf(key)] = value;
      return encoded(run(...Array.from(all)));
    });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { result: await ANSWERS[request.do](request) };
  } catch (error) {
    answer = { error: error.name, message: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

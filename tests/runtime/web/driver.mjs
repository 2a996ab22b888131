// Answers requests of tests: one JSON object per line of standard input, one per line of standard output.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { load, splitSentences, tokenize } from "../../../runtime/web/mtl.js";
import { Kernels } from "../../../runtime/web/kernels.js";
import { Operators } from "../../../runtime/web/operators.js";
import { wordShape } from "../../../runtime/web/vocabulary.js";
import { vocabulary } from "../../../runtime/web/vocabulary.js";

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
  predict: async ({ path, sentences, options }) => (await model(path)).predict(sentences, options),
  annotate: async ({ path, sentences, options }) => [...(await model(path)).annotate(sentences, options)],
  probabilities: async ({ path, sentences, task }) => (await model(path)).probabilities(sentences, task),
  operators: async ({ names }) => {
    const module = await WebAssembly.compile(
      readFileSync(new URL("../../../runtime/web/mtl.wasm", import.meta.url)),
    );
    const operators = new Operators(await Kernels.from(module));
    return names.filter((name) => !operators.find(name));
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

// The part of web_bench.py that runs in Node.js: prints processor times in seconds, and the number of words.
import { readFileSync } from "node:fs";

const { model, texts, sentence, passes, single } = JSON.parse(readFileSync(0, "utf8"));

const now = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const seconds = (work) => {
  const start = now();
  work();
  return now() - start;
};

const began = now();
const { load } = await import("../runtime/web/mtl.js");
const found = await load(new Uint8Array(readFileSync(model)));
const loaded = now() - began;
const first = seconds(() => found.predict(texts));
const later = Array.from({ length: passes }, () => seconds(() => found.predict(texts))).sort((a, b) => a - b);
const one = seconds(() => {
  for (let i = 0; i < single; ++i) found.predict([sentence]);
});
let words = 0;
for (const prediction of found.annotate(texts)) words += prediction.tokens.length;
const middle = later[Math.floor(passes / 2)];
console.log(JSON.stringify({ load: loaded, first, later: middle, single: one / single, words }));

// Models of mtl in the browser and in Node.js: `load` reads a file that `mtl export --to bundle` wrote.
//
//     import { load } from "./mtl.js";
//     const model = await load("model.mtl");
//     model.predict(["Ann left Rome."]); // {ner: [["B-PER", "O", "B-LOC", "O"]]}
import { read } from "./bundle.js";
import { BundleError, MtlError, shown } from "./errors.js";
import { Kernels } from "./kernels.js";
import { Model } from "./model.js";
import { Prediction } from "./prediction.js";
import { splitSentences, tokenize } from "./tokenizer.js";

export { BundleError, Model, MtlError, Prediction, splitSentences, tokenize };

const COMPILED = new URL("./mtl.wasm", import.meta.url);
/** @type {Promise<WebAssembly.Module> | null} */
let compiled = null;

/**
 * Load a model.
 * @param {string | URL | ArrayBuffer | Uint8Array | Blob} source The address of a bundle, or its bytes.
 * @returns {Promise<Model>}
 */
export async function load(source) {
  const named = typeof source === "string" || source instanceof URL;
  const place = named ? `${source}: ` : source instanceof Blob && "name" in source ? `${source.name}: ` : "";
  const content = await bytesOf(source);
  const kernels = await Kernels.from(await functions());
  try {
    const bundle = await read(content, kernels);
    return new Model(bundle);
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    const problem =
      error instanceof BundleError ? message : `the description of the model is damaged: ${name}: ${message}`;
    throw new BundleError(place + problem);
  }
}

/** Return the compiled functions, which all models share. */
async function functions() {
  try {
    return await (compiled ??= bytesOf(COMPILED).then((bytes) => WebAssembly.compile(bytes)));
  } catch (error) {
    compiled = null; // a later call reads the file again
    throw error;
  }
}

/**
 * Return the bytes of a file, or of an object that contains them.
 * @param {string | URL | ArrayBuffer | Uint8Array | Blob} source
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function bytesOf(source) {
  if (source instanceof Uint8Array) return new Uint8Array(source);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (typeof source !== "string" && !(source instanceof URL))
    throw new MtlError(`expected the address or the bytes of a bundle, got ${shown(source)}`);
  try {
    return await fetched(source);
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`cannot read ${source}: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * Return the content of a file.
 * @param {string | URL} source
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
async function fetched(source) {
  const url = new URL(source, globalThis.location?.href ?? import.meta.url);
  // fetch of Node.js reads no files.
  if (url.protocol === "file:" && globalThis.process) {
    const { readFile } = await import("node:fs/promises");
    return new Uint8Array(await readFile(url));
  }
  const answer = await fetch(url);
  if (!answer.ok) throw new BundleError(`cannot read ${source}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

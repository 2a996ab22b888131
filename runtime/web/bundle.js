// The file of a model: arrays, metadata and two programs, in the format of safetensors.
import { NDArray, product } from "./arrays.js";
import { BundleError, GraphError } from "./errors.js";
import { Program } from "./graph.js";
import { Operators } from "./operators.js";

/** The versions of the format that this runtime reads. */
const VERSIONS = [1, 2];
const CHECKSUM = new TextEncoder().encode('"sha256":"');
const EXPECTED = "expected a bundle, as `mtl export RUN --to bundle` writes it";

/** @typedef {import("./arrays.js").DType} DType */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/**
 * @typedef {object} Bundle
 * @property {any} meta Vocabularies, tasks and settings; see mtl/export/bundle.py.
 * @property {Map<string, NDArray>} tensors
 * @property {Program} words The program from the features of words to the rows of tables.
 * @property {Program} sentences The program from rows to the scores of tasks.
 * @property {Kernels} kernels
 */

/**
 * Read a bundle.
 * @param {Uint8Array} content The bytes of the file.
 * @param {Kernels} kernels
 * @returns {Promise<Bundle>}
 */
export async function read(content, kernels) {
  try {
    const { meta, tensors } = await parsed(content);
    const operators = new Operators(kernels);
    const words = new Program(meta.words, tensors, operators);
    const sentences = new Program(meta.sentences, tensors, operators);
    return { meta, tensors, words, sentences, kernels };
  } catch (error) {
    if (error instanceof BundleError) throw error;
    const { name, message } = /** @type {Error} */ (error);
    throw new BundleError(error instanceof GraphError ? message : `damaged: ${name}: ${message}`);
  }
}

/** Return metadata and arrays after the checks of the file. */
async function parsed(/** @type {Uint8Array} */ content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const length = content.length < 8 ? 0 : Number(view.getBigUint64(0, true));
  if (length < 2 || length > content.length - 8) throw new BundleError(EXPECTED);
  const start = 8 + length;
  await checkSum(content, start);
  const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content.subarray(8, start)));
  const { __metadata__: metadata, ...entries } = header;
  const meta = JSON.parse(metadata.mtl);
  if (meta.format !== "mtl-bundle" || !VERSIONS.includes(meta.version))
    throw new BundleError(
      `has version ${meta.version}, but this mtl-runtime reads ${VERSIONS.join(", ")}; install a newer one`,
    );
  const tensors = new Map();
  for (const [name, entry] of Object.entries(entries)) tensors.set(name, tensor(content, start, entry));
  for (const [name, scales] of Object.entries(meta.scales ?? {}))
    tensors.set(name, scaled(tensors.get(name), tensors.get(scales)));
  return { meta, tensors };
}

/** Throw an error if the checksum does not fit. It covers every byte, with 64 zeros in its own place. */
async function checkSum(/** @type {Uint8Array} */ content, /** @type {number} */ end) {
  const at = find(content, CHECKSUM, 8, end) + CHECKSUM.length;
  if (at < CHECKSUM.length || at + 64 > content.length) throw new BundleError(EXPECTED);
  const written = new TextDecoder("latin1").decode(content.subarray(at, at + 64));
  if (!globalThis.crypto?.subtle)
    throw new BundleError("cannot be checked: browsers need https, localhost or a file for that");
  const zeroed = content.slice();
  zeroed.fill("0".charCodeAt(0), at, at + 64);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", zeroed));
  const expected = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (written !== expected)
    throw new BundleError("damaged: the checksum does not fit; export the model again");
}

/** Return the first place of some bytes, or -1. */
function find(
  /** @type {Uint8Array} */ content,
  /** @type {Uint8Array} */ bytes,
  /** @type {number} */ from,
  /** @type {number} */ end,
) {
  for (let at = content.indexOf(bytes[0], from); at >= 0 && at < end; at = content.indexOf(bytes[0], at + 1))
    if (bytes.every((byte, i) => content[at + i] === byte)) return at;
  return -1;
}

/** Return the array of an entry of the header. */
function tensor(/** @type {Uint8Array} */ content, /** @type {number} */ start, /** @type {any} */ entry) {
  const [first, last] = entry.data_offsets;
  const bytes = content.slice(start + first, start + last).buffer,
    count = product(entry.shape);
  const made = (/** @type {any} */ numbers, /** @type {DType} */ dtype) => {
    if (numbers.length !== count) throw new Error(`expected ${count} numbers, got ${numbers.length}`);
    return new NDArray(numbers, entry.shape, dtype);
  };
  switch (entry.dtype) {
    case "F32":
      return made(new Float32Array(bytes), "float32");
    case "F16":
      return made(Float32Array.from(new Uint16Array(bytes), half), "float32");
    case "F64":
      return made(new Float64Array(bytes), "float64");
    case "I64":
      return made(Float64Array.from(new BigInt64Array(bytes), Number), "int64");
    case "I8":
      return made(new Int8Array(bytes), "int8");
    case "BOOL":
      return made(new Uint8Array(bytes), "bool");
    default:
      throw new Error(`unknown type ${entry.dtype}`);
  }
}

/** Return the number whose bits are those of a number in 16 bits. */
function half(/** @type {number} */ bits) {
  const sign = bits >> 15 ? -1 : 1,
    exponent = (bits >> 10) & 31,
    fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24;
}

/** Return a weight in 8 bits times its scales, which have the same dimensions, each of the same size or 1. */
function scaled(/** @type {NDArray | undefined} */ numbers, /** @type {NDArray | undefined} */ scales) {
  if (numbers?.dtype !== "int8" || scales?.dtype !== "float32" || numbers.ndim !== scales.ndim)
    throw new Error("expected int8 and its scales");
  /** @type {number[]} The distances of the scales of neighbours, per dimension. */
  const steps = [];
  let step = 1;
  for (let axis = scales.ndim - 1; axis >= 0; axis--) {
    const size = scales.shape[axis];
    if (size !== 1 && size !== numbers.shape[axis])
      throw new Error(`the scales [${scales.shape}] do not fit the weight [${numbers.shape}]`);
    steps[axis] = size === 1 ? 0 : step;
    step *= size;
  }
  const data = new Float32Array(numbers.size),
    place = numbers.shape.map(() => 0);
  for (let i = 0, at = 0; i < data.length; i++) {
    data[i] = numbers.data[i] * scales.data[at];
    for (let axis = place.length - 1; axis >= 0; axis--) {
      at += steps[axis];
      if (++place[axis] < numbers.shape[axis]) break;
      at -= steps[axis] * numbers.shape[axis];
      place[axis] = 0;
    }
  }
  return new NDArray(data, numbers.shape, "float32");
}

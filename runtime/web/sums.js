// Operators that compute numbers from several numbers along an axis, and products of matrices.
import { NDArray, around, broadcastShape, make, product, promoted, reduce, stridesOf } from "./arrays.js";
import { expand, gather, take } from "./shapes.js";

/** @typedef {import("./arrays.js").Numbers} Numbers */
/** @typedef {number | number[] | null} Axes */

/** Return the type of sums: the type of the array, but int64 for whole numbers. */
const sumType = (/** @type {NDArray} */ x) => (x.isFloat ? x.dtype : "int64");

function total(
  /** @type {Numbers} */ data,
  /** @type {number} */ at,
  /** @type {number} */ count,
  /** @type {number} */ step,
) {
  let all = 0;
  for (let i = 0; i < count; ++i, at += step) all += data[at];
  return all;
}

function greatest(
  /** @type {Numbers} */ data,
  /** @type {number} */ at,
  /** @type {number} */ count,
  /** @type {number} */ step,
) {
  if (!count) throw new Error("there is no greatest number of an empty axis");
  let top = data[at];
  for (let i = 1; i < count; ++i) {
    const own = data[(at += step)];
    if (own > top || own !== own) top = own;
  }
  return top;
}

/** Return the place of the first greatest number. */
function argGreatest(
  /** @type {Numbers} */ data,
  /** @type {number} */ at,
  /** @type {number} */ count,
  /** @type {number} */ step,
) {
  if (!count) throw new Error("there is no greatest number of an empty axis");
  let best = 0;
  for (let i = 1; i < count; ++i) if (data[at + i * step] > data[at + best * step]) best = i;
  return best;
}

export const sum = (/** @type {NDArray} */ x, /** @type {Axes} */ dim = null, keep = false) =>
  reduce(x, dim, keep, sumType(x), total);
export const mean = (/** @type {NDArray} */ x, /** @type {Axes} */ dim = null, keep = false) =>
  reduce(
    x,
    dim,
    keep,
    x.isFloat ? x.dtype : "float64",
    (data, at, count, step) => total(data, at, count, step) / count,
  );
export const amax = (/** @type {NDArray} */ x, /** @type {Axes} */ dim = null, keep = false) =>
  reduce(x, dim, keep, x.dtype, greatest);
export const argmax = (/** @type {NDArray} */ x, /** @type {number | null} */ dim = null, keep = false) =>
  reduce(x, dim, keep, "int64", argGreatest);
export const any = (/** @type {NDArray} */ x, /** @type {Axes} */ dim = null, keep = false) =>
  reduce(x.as("bool"), dim, keep, "bool", (...own) => Number(total(...own) > 0));
export const all = (/** @type {NDArray} */ x, /** @type {Axes} */ dim = null, keep = false) =>
  reduce(x.as("bool"), dim, keep, "bool", (data, at, count, step) =>
    Number(total(data, at, count, step) === count),
  );

export function cumsum(/** @type {NDArray} */ x, /** @type {number} */ dim) {
  const [outer, n, inner] = around(x, dim),
    made = make(x.shape, sumType(x));
  for (let i = 0; i < outer; ++i)
    for (let j = 0; j < inner; ++j)
      for (let k = 0, at = i * n * inner + j, sum = 0; k < n; ++k, at += inner)
        made.data[at] = sum += x.data[at];
  return made;
}

/** Return e^(x - top) and its sum along an axis, as an operator that writes its results. */
function exponentials(
  /** @type {NDArray} */ x,
  /** @type {number} */ dim,
  /** @type {(own: number, top: number, sum: number) => number} */ result,
) {
  const [outer, n, inner] = around(x, dim),
    made = make(x.shape, x.isFloat ? x.dtype : "float64");
  for (let i = 0; i < outer; ++i)
    for (let j = 0; j < inner; ++j) {
      const start = i * n * inner + j,
        end = start + n * inner;
      const top = greatest(x.data, start, n, inner);
      let sum = 0;
      for (let at = start; at < end; at += inner) sum += Math.exp(x.data[at] - top);
      for (let at = start; at < end; at += inner) made.data[at] = result(x.data[at], top, sum);
    }
  return made;
}

export const softmax = (/** @type {NDArray} */ x, /** @type {number} */ dim) =>
  exponentials(x, dim, (own, top, sum) => Math.exp(own - top) / sum);
export const logSoftmax = (/** @type {NDArray} */ x, /** @type {number} */ dim) =>
  exponentials(x, dim, (own, top, sum) => own - top - Math.log(sum));

export const logsumexp = (/** @type {NDArray} */ x, /** @type {Axes} */ dim, keep = false) =>
  reduce(x, dim, keep, x.isFloat ? x.dtype : "float64", (data, at, count, step) => {
    const found = greatest(data, at, count, step),
      top = Number.isFinite(found) ? found : 0;
    let sum = 0;
    for (let i = 0; i < count; ++i, at += step) sum += Math.exp(data[at] - top);
    return Math.log(sum) + top;
  });

/** Return rows of the last axes with mean 0 and variance 1, times weights, plus a bias. */
export function layerNorm(
  /** @type {NDArray} */ x,
  /** @type {number[]} */ shape,
  /** @type {NDArray | null} */ weight = null,
  /** @type {NDArray | null} */ bias = null,
  eps = 1e-5,
) {
  const count = product(shape),
    made = make(x.shape, x.dtype);
  for (let at = 0; at < x.size; at += count) {
    const middle = total(x.data, at, count, 1) / count;
    let squares = 0;
    for (let i = 0; i < count; ++i) squares += (x.data[at + i] - middle) ** 2;
    const scale = 1 / Math.sqrt(squares / count + eps);
    for (let i = 0; i < count; ++i)
      made.data[at + i] =
        (x.data[at + i] - middle) * scale * (weight ? weight.data[i] : 1) + (bias ? bias.data[i] : 0);
  }
  return made;
}

/** Return the places of the numbers of an axis in ascending or descending order; equal ones keep their order. */
function order(/** @type {NDArray} */ x, /** @type {number} */ dim, /** @type {boolean} */ descending) {
  const [outer, n, inner] = around(x, dim),
    made = make(x.shape, "int64");
  const sign = descending ? -1 : 1;
  for (let i = 0; i < outer; ++i)
    for (let j = 0; j < inner; ++j) {
      const start = i * n * inner + j;
      const places = Array.from({ length: n }, (_, k) => k);
      places.sort((a, b) => sign * (x.data[start + a * inner] - x.data[start + b * inner]));
      places.forEach((place, k) => (made.data[start + k * inner] = place));
    }
  return made;
}

export function sort(/** @type {NDArray} */ x, dim = -1, descending = false) {
  const places = order(x, dim, descending);
  return [gather(x, dim, places), places];
}

export function topk(/** @type {NDArray} */ x, /** @type {number} */ k, dim = -1, largest = true) {
  const places = take(
    order(x, dim, largest),
    dim,
    Array.from({ length: k }, (_, i) => i),
  );
  return [gather(x, dim, places), places];
}

export const maxDim = (/** @type {NDArray} */ x, /** @type {number} */ dim, keep = false) => [
  amax(x, dim, keep),
  argmax(x, dim, keep),
];

/** Return the mean of the rows of a table per bag. A bag has the ids from its start to the next one's start. */
export function embeddingBag(
  /** @type {NDArray} */ table,
  /** @type {NDArray} */ ids,
  /** @type {NDArray} */ starts,
  /** @type {boolean} */ _byFrequency = false,
  mode = 0,
  /** @type {boolean} */ _sparse = false,
  /** @type {null} */ weights = null,
  last = false,
  padding = -1,
) {
  if ((mode !== 0 && mode !== 1) || weights !== null || last)
    throw new Error("embedding_bag: unknown mode or weights");
  const width = table.shape[1],
    made = make([starts.size, width], table.dtype);
  for (let bag = 0; bag < starts.size; ++bag) {
    const own = Array.from(ids.data.slice(starts.data[bag], starts.data[bag + 1] ?? ids.size)).filter(
      (id) => id !== padding,
    );
    const rows = take(table, 0, own),
      sum = new Float64Array(width);
    for (let i = 0; i < rows.size; ++i) sum[i % width] += rows.data[i];
    for (let i = 0; i < width; ++i) made.data[bag * width + i] = mode === 0 ? sum[i] : sum[i] / Math.max(own.length, 1);
  }
  return [made];
}

/** Return a product of matrices; further axes come first. An array with one axis is a row or column. */
export function matmul(/** @type {NDArray} */ x, /** @type {NDArray} */ y) {
  if (!x.ndim || !y.ndim) throw new Error("matmul: expected arrays with dimensions");
  const a = x.ndim === 1 ? x.reshape([1, x.size]) : x,
    b = y.ndim === 1 ? y.reshape([y.size, 1]) : y;
  const [n, depth] = a.shape.slice(-2),
    m = b.shape[b.ndim - 1];
  if (b.shape[b.ndim - 2] !== depth)
    throw new Error(`matmul: the shapes [${x.shape}] and [${y.shape}] do not fit`);
  const outer = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const left = expand(a, [...outer, n, depth]),
    right = expand(b, [...outer, depth, m]);
  const made = make([...outer, n, m], promoted(x.dtype, y.dtype)),
    sums = new Float64Array(m);
  for (let row = 0; row < made.size / (m || 1); ++row) {
    const matrix = Math.floor(row / n) * depth * m;
    sums.fill(0);
    for (let k = 0; k < depth; ++k) {
      const own = left.data[row * depth + k],
        at = matrix + k * m;
      if (own !== 0) for (let j = 0; j < m; ++j) sums[j] += own * right.data[at + j];
      else for (let j = 0; j < m; ++j) sums[j] += 0 * right.data[at + j];
    }
    made.data.set(sums, row * m);
  }
  const shape = [...outer, ...(x.ndim === 1 ? [] : [n]), ...(y.ndim === 1 ? [] : [m])];
  return made.reshape(shape);
}

/** Return sums of products by a rule such as "btd,kd->btk"; "..." stands for any axes before others. */
export function einsum(/** @type {string} */ equation, /** @type {NDArray[]} */ arrays) {
  const [inputs, result] = equation.replaceAll(" ", "").split("->");
  const parts = inputs.split(",");
  if (parts.length !== arrays.length || result === undefined)
    throw new Error(`einsum: ${equation} does not fit ${arrays.length} arrays`);
  // Axes of an ellipsis get capital letters with a number; they are counted from their last one.
  const letters = parts.map((part, i) => lettersOf(part, arrays[i].ndim));
  const dots = Math.max(0, ...letters.map((own) => own.filter((letter) => letter.length > 1).length));
  const kept = lettersOf(result, result.replace("...", "").length + (result.includes("...") ? dots : 0));
  const sizes = new Map();
  arrays.forEach((own, i) => {
    letters[i].forEach((letter, axis) => {
      if ((sizes.get(letter) ?? 1) === 1) sizes.set(letter, own.shape[axis]);
      else if (own.shape[axis] !== 1 && own.shape[axis] !== sizes.get(letter))
        throw new Error(`einsum: the shapes do not fit ${equation}`);
    });
  });
  const summed = [...sizes.keys()].filter((letter) => !kept.includes(letter));
  const shape = kept.map((letter) => sizes.get(letter));
  const made = make(shape, arrays.map((own) => own.dtype).reduce(promoted));
  // A number of an array is at the sum of a place that depends on the kept axes and one that depends on the others.
  const data = arrays.map((own) => own.data);
  const firsts = arrays.map((own, i) => places(own, letters[i], kept, sizes));
  const seconds = arrays.map((own, i) => places(own, letters[i], summed, sizes));
  const count = product(summed.map((letter) => sizes.get(letter)));
  for (let i = 0; i < made.size; ++i) {
    let all = 0;
    for (let k = 0; k < count; ++k) {
      let one = 1;
      for (let n = 0; n < data.length; ++n) one *= data[n][firsts[n][i] + seconds[n][k]];
      all += one;
    }
    made.data[i] = all;
  }
  return made;
}

/** Return the places of the numbers of an array along some axes, in the order of these axes. */
function places(
  /** @type {NDArray} */ x,
  /** @type {string[]} */ letters,
  /** @type {string[]} */ axes,
  /** @type {Map<string, number>} */ sizes,
) {
  if (letters.length !== x.ndim || new Set(letters).size < letters.length)
    throw new Error(`einsum: unknown letters for an array of [${x.shape}]`);
  const strides = stridesOf(x.shape);
  let found = [0];
  for (const letter of axes) {
    const axis = letters.indexOf(letter),
      step = axis < 0 || x.shape[axis] === 1 ? 0 : strides[axis];
    const steps = Array.from({ length: sizes.get(letter) ?? 1 }, (_, i) => i * step);
    found = found.flatMap((at) => steps.map((own) => at + own));
  }
  return found;
}

/** Return the letters of the axes of an array, the axes of an ellipsis as "…1", "…2" and so on. */
function lettersOf(/** @type {string} */ part, /** @type {number} */ ndim) {
  const [before, after] = part.split("...");
  if (after === undefined) return [...before];
  const count = ndim - before.length - after.length;
  return [...before, ...Array.from({ length: count }, (_, i) => `…${count - i}`), ...after];
}

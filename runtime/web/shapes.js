// Operators that move numbers and compute none. Axes may count from the end.
import {
  NDArray,
  around,
  broadcastShape,
  broadcastStrides,
  make,
  permute,
  product,
  promoted,
  strided,
  stridesOf,
} from "./arrays.js";

/** Return an array repeated along its axes of size 1; -1 keeps a size. */
export function expand(/** @type {NDArray} */ x, /** @type {number[]} */ sizes) {
  const own = [...new Array(Math.max(0, sizes.length - x.ndim)).fill(1), ...x.shape];
  const shape = sizes.map((n, i) => (n === -1 ? own[i] : n));
  if (own.length !== shape.length || own.some((n, i) => n !== 1 && n !== shape[i]))
    throw new Error(`cannot expand [${x.shape}] to [${sizes}]`);
  return strided(x, shape, broadcastStrides(x, shape));
}

/** Return `counts` copies of an array side by side, along its last axes. */
export function repeat(/** @type {NDArray} */ x, /** @type {number[]} */ counts) {
  const own = [...new Array(Math.max(0, counts.length - x.ndim)).fill(1), ...x.shape];
  const all = [...new Array(own.length - counts.length).fill(1), ...counts];
  const strides = stridesOf(own);
  const shape = own.flatMap((n, i) => [all[i], n]);
  return strided(
    x,
    shape,
    own.flatMap((_, i) => [0, strides[i]]),
  ).reshape(own.map((n, i) => n * all[i]));
}

export function unsqueeze(/** @type {NDArray} */ x, /** @type {number} */ dim) {
  return x.reshape(x.shape.toSpliced(dim < 0 ? dim + x.ndim + 1 : dim, 0, 1));
}

export function squeeze(/** @type {NDArray} */ x, /** @type {number} */ dim) {
  const axis = x.axis(dim);
  return x.shape[axis] === 1 ? x.reshape(x.shape.toSpliced(axis, 1)) : x;
}

export function transpose(/** @type {NDArray} */ x, /** @type {number} */ one, /** @type {number} */ two) {
  const order = x.shape.map((_, axis) => axis);
  [order[x.axis(one)], order[x.axis(two)]] = [x.axis(two), x.axis(one)];
  return permute(x, order);
}

export function flip(/** @type {NDArray} */ x, /** @type {number[]} */ dims) {
  const strides = stridesOf(x.shape);
  let offset = 0;
  for (const axis of dims.map((dim) => x.axis(dim))) {
    offset += (x.shape[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  return strided(x, x.shape, strides, offset);
}

export function flatten(/** @type {NDArray} */ x, start = 0, end = -1) {
  return x.reshape([...x.shape.slice(0, x.axis(start)), -1, ...x.shape.slice(x.axis(end) + 1)]);
}

/** Return the numbers of an axis from `start` to before `end`, where negative numbers count from the end. */
export function slice(
  /** @type {NDArray} */ x,
  dim = 0,
  /** @type {number | null} */ start = null,
  /** @type {number | null} */ end = null,
  step = 1,
) {
  const axis = x.axis(dim),
    n = x.shape[axis];
  const place = (/** @type {number} */ at) => Math.min(Math.max(at < 0 ? at + n : at, 0), n);
  const first = place(start ?? 0),
    last = place(end ?? n);
  if (first === 0 && last === n && step === 1) return x;
  if (!(step >= 1)) throw new Error(`slice: expected a step of at least 1, got ${step}`);
  const strides = stridesOf(x.shape),
    offset = first * strides[axis];
  strides[axis] *= step;
  return strided(x, x.shape.with(axis, Math.max(0, Math.ceil((last - first) / step))), strides, offset);
}

/** Return the numbers at one index of an axis. */
export function select(/** @type {NDArray} */ x, /** @type {number} */ dim, /** @type {number} */ index) {
  const axis = x.axis(dim);
  return take(x, axis, [index]).reshape(x.shape.toSpliced(axis, 1));
}

/** Return the numbers at some indices of an axis. */
export function take(
  /** @type {NDArray} */ x,
  /** @type {number} */ dim,
  /** @type {ArrayLike<number>} */ indices,
) {
  const axis = x.axis(dim),
    [outer, n, inner] = around(x, axis);
  const made = make(x.shape.with(axis, indices.length), x.dtype);
  for (let i = 0, end = 0; i < outer; ++i)
    for (let k = 0; k < indices.length; ++k, end += inner) {
      const at = (i * n + within(indices[k], n)) * inner;
      made.data.set(x.data.subarray(at, at + inner), end);
    }
  return made;
}

function within(/** @type {number} */ index, /** @type {number} */ size) {
  const at = index < 0 ? index + size : index;
  if (!(at >= 0 && at < size)) throw new Error(`index ${index} is out of bounds for size ${size}`);
  return at;
}

/** Return the rows of a table, `[…, D]`, for ids of any shape. */
export function embedding(/** @type {NDArray} */ table, /** @type {NDArray} */ ids) {
  return take(table, 0, ids.data).reshape([...ids.shape, ...table.shape.slice(1)]);
}

export function split(/** @type {NDArray} */ x, /** @type {number | number[]} */ size, dim = 0) {
  const total = x.shape[x.axis(dim)];
  if (!Array.isArray(size) && !(size >= 1))
    throw new Error(`split: expected a size of at least 1, got ${size}`);
  const sizes = Array.isArray(size) ? size : new Array(Math.ceil(total / size)).fill(size);
  let at = 0;
  return sizes.map((own) => slice(x, dim, at, (at += own)));
}

export const chunk = (/** @type {NDArray} */ x, /** @type {number} */ count, dim = 0) =>
  split(x, Math.ceil(x.shape[x.axis(dim)] / count), dim);

export const unbind = (/** @type {NDArray} */ x, dim = 0) =>
  Array.from({ length: x.shape[x.axis(dim)] }, (_, index) => select(x, dim, index));

export function cat(/** @type {NDArray[]} */ arrays, dim = 0) {
  const axis = arrays[0].axis(dim);
  const total = arrays.reduce((all, own) => all + own.shape[axis], 0);
  const made = make(arrays[0].shape.with(axis, total), arrays.map((own) => own.dtype).reduce(promoted));
  const [outer, , inner] = around(made, axis);
  let end = 0;
  for (const own of arrays) {
    if (own.ndim !== made.ndim || own.shape.some((n, i) => i !== axis && n !== made.shape[i]))
      throw new Error(`cat: the shapes [${own.shape}] and [${made.shape}] do not fit`);
    const size = own.shape[axis] * inner;
    for (let i = 0; i < outer; ++i)
      made.data.set(own.data.subarray(i * size, (i + 1) * size), i * total * inner + end);
    end += size;
  }
  return made;
}

export const stack = (/** @type {NDArray[]} */ arrays, dim = 0) =>
  cat(
    arrays.map((own) => unsqueeze(own, dim < 0 ? dim + own.ndim + 1 : dim)),
    dim,
  );

/** Return an array with constants before and after its axes, the last axis first; negative widths cut. */
export function pad(
  /** @type {NDArray} */ x,
  /** @type {number[]} */ widths,
  mode = "constant",
  /** @type {number | null} */ value = null,
) {
  if (mode !== "constant") throw new Error(`pad: unknown mode ${mode}`);
  let found = x;
  for (let i = 0; i < widths.length; i += 2) {
    const axis = x.ndim - 1 - i / 2,
      [first, last] = [widths[i], widths[i + 1]];
    const cut = slice(found, axis, Math.max(0, -first), found.shape[axis] - Math.max(0, -last));
    const side = (/** @type {number} */ n) => full(cut.shape.with(axis, Math.max(0, n)), value ?? 0, x.dtype);
    found = cat([side(first), cut, side(last)], axis);
  }
  return found;
}

/** Return all windows of `size` numbers of an axis, `step` apart; their numbers form a new last axis. */
export function unfold(
  /** @type {NDArray} */ x,
  /** @type {number} */ dim,
  /** @type {number} */ size,
  /** @type {number} */ step,
) {
  const axis = x.axis(dim),
    strides = stridesOf(x.shape),
    own = strides[axis];
  if (!(size >= 0 && size <= x.shape[axis] && step >= 1))
    throw new Error(`unfold: no window of ${size} in [${x.shape}]`);
  const shape = x.shape.with(axis, Math.floor((x.shape[axis] - size) / step) + 1);
  return strided(x, [...shape, size], [...strides.with(axis, own * step), own]);
}

/** Return the numbers at given places of an axis; the places of other axes stay the same. */
export function gather(/** @type {NDArray} */ x, /** @type {number} */ dim, /** @type {NDArray} */ index) {
  const axis = x.axis(dim),
    made = make(index.shape, x.dtype),
    strides = stridesOf(x.shape);
  if (index.ndim !== x.ndim || index.shape.some((n, i) => i !== axis && n > x.shape[i]))
    throw new Error(`gather: the shapes [${x.shape}] and [${index.shape}] do not fit`);
  const own = stridesOf(index.shape);
  for (let i = 0; i < made.size; ++i) {
    let at = 0;
    for (let k = 0, rest = i; k < own.length; ++k) {
      const place = Math.floor(rest / own[k]);
      rest -= place * own[k];
      at += (k === axis ? within(index.data[i], x.shape[k]) : place) * strides[k];
    }
    made.data[i] = x.data[at];
  }
  return made;
}

/** Return the numbers at indices of several neighbouring axes; null stands for all numbers of an axis. */
export function index(/** @type {NDArray} */ x, /** @type {(NDArray | null)[]} */ indices) {
  const first = indices.findIndex((own) => own !== null);
  const arrays = /** @type {NDArray[]} */ (indices.slice(first).filter((own) => own !== null));
  if (first < 0) return x;
  if (arrays.length < indices.length - first)
    throw new Error("index: expected indices of neighbouring dimensions");
  if (arrays.some((own) => own.dtype === "bool")) throw new Error("index: expected whole numbers, got bool");
  const shape = broadcastShape(...arrays.map((own) => own.shape));
  const wide = arrays.map((own) => expand(own, shape).data);
  const sizes = x.shape.slice(first, first + arrays.length);
  const places = new Float64Array(product(shape));
  for (let i = 0; i < places.length; ++i)
    places[i] = sizes.reduce((at, n, k) => at * n + within(wide[k][i], n), 0);
  const after = x.shape.slice(first + arrays.length),
    before = x.shape.slice(0, first);
  return take(x.reshape([...before, product(sizes), ...after]), first, places).reshape([
    ...before,
    ...shape,
    ...after,
  ]);
}

/** Return an array that is full of one number. */
export function full(
  /** @type {number[]} */ shape,
  /** @type {number | boolean} */ value,
  /** @type {any} */ dtype = null,
) {
  const kind = typeof value === "boolean" ? "bool" : Number.isInteger(value) ? "int64" : "float32";
  const made = make(shape, dtype ?? kind);
  made.data.fill(Number(value));
  return made;
}

/** Return the numbers from `start` to before `end`. */
export function arange(
  /** @type {number} */ start,
  /** @type {number | null} */ end = null,
  step = 1,
  /** @type {any} */ dtype = null,
) {
  const [first, last] = end === null ? [0, start] : [start, end];
  const made = make([Math.max(0, Math.ceil((last - first) / step))], dtype ?? "int64");
  for (let i = 0; i < made.size; ++i) made.data[i] = first + i * step;
  return made;
}

// Arrays of numbers of any shape, contiguous and row-major, with the rules of NumPy for types and shapes.

/** The most numbers of an array. */
export const MOST = 1 << 26;

const TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int64: Float64Array, // exact up to 2^53
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};
/** @typedef {keyof typeof TYPES} DType */
/** @typedef {Float32Array | Float64Array | Int32Array | Int16Array | Int8Array | Uint8Array} Numbers */

/** Return whether there is a type of this name. */
export const isType = (/** @type {string} */ name) => Object.hasOwn(TYPES, name);

/** An array. */
export class NDArray {
  /**
   * @param {Numbers} data The numbers, row by row.
   * @param {number[]} shape
   * @param {DType} dtype
   */
  constructor(data, shape, dtype) {
    this.data = data;
    this.shape = shape;
    this.dtype = dtype;
  }

  get size() {
    return this.data.length;
  }

  get ndim() {
    return this.shape.length;
  }

  get isFloat() {
    return this.dtype === "float32" || this.dtype === "float64";
  }

  /** Return the number of an axis, which may count from the end. */
  axis(/** @type {number} */ dim) {
    const axis = dim < 0 ? dim + this.ndim : dim;
    if (!(axis >= 0 && axis < this.ndim)) throw new Error(`there is no dimension ${dim} in [${this.shape}]`);
    return axis;
  }

  /** Return the same numbers in another shape; one size may be -1. */
  reshape(/** @type {number[]} */ shape) {
    const free = shape.indexOf(-1);
    const others = product(shape.filter((n) => n !== -1));
    const sizes = shape.map((n, i) => (i === free ? this.size / others : n));
    if (product(sizes) !== this.size || !sizes.every(Number.isInteger))
      throw new Error(`cannot reshape [${this.shape}] to [${shape}]`);
    return new NDArray(this.data, sizes, this.dtype);
  }

  /** Return the array in another type. */
  as(/** @type {DType} */ dtype) {
    if (dtype === this.dtype) return this;
    const made = make(this.shape, dtype);
    if (dtype === "bool") for (let i = 0; i < made.size; ++i) made.data[i] = Number(this.data[i] !== 0);
    else if (this.isFloat && !made.isFloat)
      for (let i = 0; i < made.size; ++i) made.data[i] = Math.trunc(this.data[i]);
    else made.data.set(this.data);
    return made;
  }
}

/** Return the product of numbers. */
export const product = (/** @type {number[]} */ numbers) => numbers.reduce((all, n) => all * n, 1);

/** Return an array of zeros. */
export function make(/** @type {number[]} */ shape, /** @type {DType} */ dtype) {
  const size = product(shape);
  if (!shape.every((n) => Number.isInteger(n) && n >= 0)) throw new Error(`[${shape}] is not a shape`);
  if (size > MOST) throw new Error(`an array of ${size} numbers is too large`);
  return new NDArray(new TYPES[dtype](size), shape, dtype);
}

/** Return the number of places between neighbours, for each axis. */
export function stridesOf(/** @type {number[]} */ shape) {
  const strides = new Array(shape.length);
  for (let axis = shape.length - 1, step = 1; axis >= 0; step *= shape[axis--]) strides[axis] = step;
  return strides;
}

/**
 * Return a copy of a part of an array: the number at [i, j, …] comes from the place
 * `offset + i·strides[0] + j·strides[1] + …`.
 * @param {NDArray} x
 * @param {number[]} shape
 * @param {number[]} strides
 * @param {number} offset
 */
export function strided(x, shape, strides, offset = 0) {
  const made = make(shape, x.dtype);
  const from = x.data,
    to = made.data;
  if (!to.length) return made;
  const last = shape.length - 1;
  const count = last < 0 ? 1 : shape[last],
    step = last < 0 ? 1 : strides[last];
  const place = new Array(Math.max(last, 0)).fill(0);
  for (let end = 0, at = offset; ;) {
    if (step === 1 && count > 16) to.set(from.subarray(at, at + count), end);
    else for (let i = 0, own = at; i < count; ++i, own += step) to[end + i] = from[own];
    end += count;
    let axis = last - 1;
    for (; axis >= 0; --axis) {
      at += strides[axis];
      if (++place[axis] < shape[axis]) break;
      at -= place[axis] * strides[axis];
      place[axis] = 0;
    }
    if (axis < 0) return made;
  }
}

/** Return the array with its axes in another order. */
export function permute(/** @type {NDArray} */ x, /** @type {number[]} */ order) {
  const axes = order.map((dim) => x.axis(dim));
  if (new Set(axes).size !== x.ndim)
    throw new Error(`[${order}] is not an order of the dimensions [${x.shape}]`);
  const strides = stridesOf(x.shape);
  return strided(
    x,
    axes.map((axis) => x.shape[axis]),
    axes.map((axis) => strides[axis]),
  );
}

/** Return the common shape of arrays whose axes of size 1 are repeated. */
export function broadcastShape(/** @type {number[][]} */ ...shapes) {
  const shape = new Array(Math.max(0, ...shapes.map((own) => own.length))).fill(1);
  for (const own of shapes)
    for (let i = 1; i <= own.length; ++i) {
      const at = shape.length - i,
        n = own[own.length - i];
      if (shape[at] === 1) shape[at] = n;
      else if (n !== 1 && n !== shape[at])
        throw new Error(`the shapes ${shapes.map((s) => `[${s}]`)} do not fit`);
    }
  return shape;
}

/** Return the strides with which an array fills a larger shape: 0 where it is repeated. */
export function broadcastStrides(/** @type {NDArray} */ x, /** @type {number[]} */ shape) {
  const strides = stridesOf(x.shape),
    missing = shape.length - x.ndim;
  return shape.map((_, i) => (i < missing || x.shape[i - missing] === 1 ? 0 : strides[i - missing]));
}

const WHOLE = ["bool", "uint8", "int8", "int16", "int32", "int64"];

/** Return the type of results of arrays of two types. */
export function promoted(/** @type {DType} */ a, /** @type {DType} */ b) {
  if (a === b || b === "bool") return a;
  if (a === "bool") return b;
  const wide = (/** @type {DType} */ dtype) => dtype === "float64" || dtype === "int64" || dtype === "int32";
  if (a.startsWith("float") || b.startsWith("float")) return wide(a) || wide(b) ? "float64" : "float32";
  if ([a, b].includes("uint8") && [a, b].includes("int8")) return "int16";
  return WHOLE.indexOf(a) > WHOLE.indexOf(b) ? a : b;
}

/** @typedef {NDArray | number | boolean} Operand */

/**
 * Return the type of results of operands. A plain number changes the type of an array only where it has to.
 * @param {Operand} x
 * @param {Operand} y
 * @returns {DType}
 */
function commonType(x, y) {
  if (x instanceof NDArray && y instanceof NDArray) return promoted(x.dtype, y.dtype);
  const [array, plain] = x instanceof NDArray ? [x, y] : [/** @type {NDArray} */ (y), x];
  if (array.isFloat || typeof plain === "boolean") return array.dtype;
  if (!Number.isInteger(plain)) return "float64";
  return array.dtype === "bool" ? "int64" : array.dtype;
}

const scalar = (/** @type {Operand} */ x) =>
  x instanceof NDArray ? x : new NDArray(Float64Array.of(Number(x)), [], "float64");

/**
 * Return an operator of two operands; each is an array or a number.
 * @param {(a: number, b: number) => number} run
 * @param {DType | null} dtype The type of the results; null: the common type of the operands.
 */
export function binary(run, dtype = null) {
  return (/** @type {Operand} */ x, /** @type {Operand} */ y) => {
    if (!(x instanceof NDArray) && !(y instanceof NDArray)) {
      const found = run(Number(x), Number(y));
      if (Math.abs(found) === Infinity) throw new Error(`a number made of ${x} and ${y} is too large`);
      return dtype === "bool" ? Boolean(found) : found;
    }
    return broadcast(run, scalar(x), scalar(y), dtype ?? commonType(x, y));
  };
}

/**
 * @param {(a: number, b: number) => number} run
 * @param {NDArray} x
 * @param {NDArray} y
 * @param {DType} dtype
 */
function broadcast(run, x, y, dtype) {
  const shape = broadcastShape(x.shape, y.shape);
  const made = make(shape, dtype);
  const a = x.data,
    b = y.data,
    to = made.data;
  if (x.size === to.length && y.size === to.length) {
    for (let i = 0; i < to.length; ++i) to[i] = run(a[i], b[i]);
    return made;
  }
  const steps = broadcastStrides(x, shape),
    others = broadcastStrides(y, shape);
  const last = shape.length - 1,
    count = shape[last],
    step = steps[last],
    other = others[last];
  const place = new Array(last).fill(0);
  for (let end = 0, at = 0, there = 0; end < to.length;) {
    for (let i = 0, p = at, q = there; i < count; ++i, p += step, q += other) to[end++] = run(a[p], b[q]);
    for (let axis = last - 1; axis >= 0; --axis) {
      at += steps[axis];
      there += others[axis];
      if (++place[axis] < shape[axis]) break;
      at -= place[axis] * steps[axis];
      there -= place[axis] * others[axis];
      place[axis] = 0;
    }
  }
  return made;
}

/**
 * Return an operator of one array or number.
 * @param {(x: number) => number} run
 * @param {DType | null} dtype The type of the results; null: the type of the array.
 */
export function unary(run, dtype = null) {
  return (/** @type {NDArray | number} */ x) => {
    if (!(x instanceof NDArray)) return run(x);
    const made = make(x.shape, dtype ?? x.dtype);
    for (let i = 0; i < made.size; ++i) made.data[i] = run(x.data[i]);
    return made;
  };
}

/** Return the same operator on an array of floating point numbers; whole numbers become float64, as in NumPy. */
export function real(/** @type {(x: number) => number} */ run) {
  return (/** @type {NDArray | number} */ x) =>
    x instanceof NDArray && !x.isFloat ? unary(run, "float64")(x) : unary(run)(x);
}

/** Return the sizes before, at and after an axis. */
export function around(/** @type {NDArray} */ x, /** @type {number} */ dim) {
  const axis = x.axis(dim);
  return [product(x.shape.slice(0, axis)), x.shape[axis], product(x.shape.slice(axis + 1))];
}

/**
 * Return one number per row of numbers along some axes.
 * @param {NDArray} x
 * @param {number | number[] | null} dim The axes; null or an empty list: all.
 * @param {boolean} keep Whether the axes stay, with size 1.
 * @param {DType} dtype The type of the results.
 * @param {(data: Numbers, at: number, count: number, step: number) => number} run
 */
export function reduce(x, dim, keep, dtype, run) {
  const all = x.shape.map((_, axis) => axis);
  const listed = dim === null || dim === undefined ? all : Array.isArray(dim) ? dim : [dim];
  const axes = new Set((listed.length ? listed : all).map((own) => x.axis(own)));
  const rest = all.filter((axis) => !axes.has(axis));
  const shape = keep ? x.shape.map((n, axis) => (axes.has(axis) ? 1 : n)) : rest.map((axis) => x.shape[axis]);
  let outer = product(rest.map((axis) => x.shape[axis])),
    inner = 1,
    source = x;
  if (axes.size === 1) {
    const [only] = axes;
    [outer, , inner] = around(x, only);
  } else source = permute(x, [...rest, ...axes]);
  const made = make(shape, dtype);
  const count = made.size ? x.size / made.size : 0;
  for (let i = 0; i < outer; ++i)
    for (let j = 0; j < inner; ++j)
      made.data[i * inner + j] = run(source.data, i * count * inner + j, count, inner);
  return made;
}

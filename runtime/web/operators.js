// Operators of programs, by the names of torch; see runtime/mtl_runtime/operators.py. An operator that is missing
// here is an error when a bundle is loaded.
import { NDArray, binary, broadcastShape, make, permute, promoted, real, unary } from "./arrays.js";
import * as shapes from "./shapes.js";
import * as sums from "./sums.js";

/** @typedef {import("./graph.js").Run} Run */
/** @typedef {import("./graph.js").Node} Node */
/** @typedef {import("./kernels.js").Kernels} Kernels */
/** @typedef {import("./arrays.js").DType} DType */

const add = binary((x, y) => x + y),
  subtract = binary((x, y) => x - y),
  times = binary((x, y) => x * y);
const divide = binary((x, y) => x / y),
  floorDivide = binary((x, y) => Math.floor(x / y));
const same = (/** @type {any} */ x) => x;
const sigmoid = real((x) => 0.5 * (Math.tanh(0.5 * x) + 1));

/** Return a number of numbers; throw an error for one that is not exact. */
function exact(/** @type {number} */ size) {
  if (!Number.isSafeInteger(size)) throw new Error(`a size of ${size} is too large`);
  return size;
}

/** Return an operator with a factor for its second operand. */
const scaled =
  (/** @type {ReturnType<typeof binary>} */ run) =>
  (/** @type {any} */ x, /** @type {any} */ y, alpha = 1) =>
    run(x, alpha === 1 ? y : times(y, alpha));

/** Whole numbers become float32 before a division. */
const float = (/** @type {any} */ x) => (x instanceof NDArray && !x.isFloat ? x.as("float32") : x);
const quotient = (/** @type {any} */ x, /** @type {any} */ y, mode = null) =>
  mode === "floor" ? floorDivide(x, y) : divide(float(x), float(y));

function clamp(
  /** @type {NDArray} */ x,
  /** @type {number | null} */ low = null,
  /** @type {number | null} */ high = null,
) {
  const least = low ?? -Infinity,
    most = high ?? Infinity;
  return unary((own) => (own < least ? least : own > most ? most : own))(x);
}

/** Return the numbers of x where a mask is true, and the numbers of y elsewhere. */
function where(/** @type {NDArray} */ mask, /** @type {any} */ x, /** @type {any} */ y) {
  const [one, two] = [x, y].map((own) => (own instanceof NDArray ? own : shapes.full([], own)));
  const shape = broadcastShape(mask.shape, one.shape, two.shape);
  const made = make(shape, promoted(one.dtype, two.dtype));
  const [chosen, a, b] = [mask, one, two].map((own) => shapes.expand(own, shape).data);
  for (let i = 0; i < made.size; ++i) made.data[i] = chosen[i] ? a[i] : b[i];
  return made;
}

/** Return the error function, by a series whose terms are all positive (Abramowitz and Stegun 1964, 7.1.6). */
function erf(/** @type {number} */ x) {
  const a = Math.abs(x);
  if (!(a < 6)) return x / a; // 1 in double precision; NaN for NaN
  let term = a,
    sum = a;
  for (let n = 1; term > 1e-17 * sum; ++n) sum += term *= (2 * a * a) / (2 * n + 1);
  return (Math.sign(x) * 2 * Math.exp(-a * a) * sum) / Math.sqrt(Math.PI);
}

function gelu(/** @type {NDArray} */ x, approximate = "none") {
  const exactly = (/** @type {number} */ own) => 0.5 * own * (1 + erf(own / Math.SQRT2));
  const nearly = (/** @type {number} */ own) =>
    0.5 * own * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (own + 0.044715 * own ** 3)));
  return real(approximate === "tanh" ? nearly : exactly)(x);
}

function glu(/** @type {NDArray} */ x, dim = -1) {
  const [a, b] = shapes.chunk(x, 2, dim);
  return times(a, sigmoid(b));
}

const softplus = real((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));
const cast = (/** @type {NDArray} */ x, /** @type {DType | null} */ dtype = null) =>
  dtype === null ? x : x.as(dtype);
const zeros = (/** @type {number[]} */ shape, /** @type {any} */ dtype = null) =>
  shapes.full(shape, 0, dtype ?? "float32");
const ones = (/** @type {number[]} */ shape, /** @type {any} */ dtype = null) =>
  shapes.full(shape, 1, dtype ?? "float32");

/** Operators on two arrays or numbers, and the type of their results. */
const BINARY = Object.entries({
  mul: times,
  lt: binary((x, y) => Number(x < y), "bool"),
  le: binary((x, y) => Number(x <= y), "bool"),
  gt: binary((x, y) => Number(x > y), "bool"),
  ge: binary((x, y) => Number(x >= y), "bool"),
  eq: binary((x, y) => Number(x === y), "bool"),
  ne: binary((x, y) => Number(x !== y), "bool"),
  pow: binary((x, y) => x ** y),
  bitwise_and: binary((x, y) => x & y),
  bitwise_or: binary((x, y) => x | y),
  bitwise_xor: binary((x, y) => x ^ y),
  logical_and: binary((x, y) => Number(x !== 0 && y !== 0), "bool"),
  logical_or: binary((x, y) => Number(x !== 0 || y !== 0), "bool"),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
});

/** Operators on one array. */
const UNARY = Object.entries({
  tanh: real(Math.tanh),
  sigmoid,
  relu: unary((x) => (x > 0 || x !== x ? x : 0)),
  abs: unary(Math.abs),
  neg: unary((x) => -x),
  exp: real(Math.exp),
  log: real(Math.log),
  sqrt: real(Math.sqrt),
  rsqrt: real((x) => 1 / Math.sqrt(x)),
  sin: real(Math.sin),
  cos: real(Math.cos),
  bitwise_not: (/** @type {NDArray} */ x) =>
    unary(x.dtype === "bool" ? (own) => Number(!own) : (own) => ~own)(x),
  logical_not: unary((x) => Number(x === 0), "bool"),
  alias: same,
  detach: same,
  clone: same,
  contiguous: same,
  dropout: same,
  lift_fresh_copy: same,
  zeros_like: (/** @type {NDArray} */ x) => make(x.shape, x.dtype),
  ones_like: (/** @type {NDArray} */ x) => shapes.full(x.shape, 1, x.dtype),
});

/** Names to functions, each with the names of its arguments as far as programs use them. */
const PLAIN = /** @type {Record<string, [Run, string?]>} */ ({
  "aten.add.Tensor": [scaled(add), "x y alpha"],
  "aten.sub.Tensor": [scaled(subtract), "x y alpha"],
  "aten.rsub.Scalar": [(x, y, alpha = 1) => subtract(y, times(x, alpha)), "x y alpha"],
  "aten.div.Tensor": [quotient, "x y rounding_mode"],
  "aten.clamp.default": [clamp, "x min max"],
  "aten.clamp_min.default": [clamp],
  "aten.softplus.default": [(x) => softplus(x)],
  "aten.gelu.default": [gelu, "x approximate"],
  "aten.glu.default": [glu, "x dim"],
  "aten.softmax.int": [sums.softmax, "x dim dtype"],
  "aten.log_softmax.int": [sums.logSoftmax, "x dim dtype"],
  "aten.logsumexp.default": [sums.logsumexp, "x dim keepdim"],
  "aten.layer_norm.default": [sums.layerNorm, "x shape weight bias eps cudnn"],
  "aten.matmul.default": [sums.matmul],
  "aten.addmm.default": [(bias, x, y) => add(bias, sums.matmul(x, y))],
  "aten.lerp.Tensor": [(x, y, weight) => add(x, times(weight, subtract(y, x)))],
  "aten.einsum.default": [sums.einsum, "equation arrays path"],
  "aten.embedding.default": [shapes.embedding],
  "aten.embedding_bag.padding_idx": [sums.embeddingBag],
  "aten.where.self": [where],
  "aten.masked_fill.Scalar": [(x, mask, value) => where(mask, shapes.full([], Number(value), x.dtype), x)],
  "aten.amax.default": [sums.amax, "x dim keepdim"],
  "aten.max.dim": [sums.maxDim, "x dim keepdim"],
  "aten.argmax.default": [sums.argmax, "x dim keepdim"],
  "aten.any.dim": [sums.any, "x dim keepdim"],
  "aten.all.dim": [sums.all, "x dim keepdim"],
  "aten.mean.dim": [sums.mean, "x dim keepdim dtype"],
  "aten.sum.dim_IntList": [sums.sum, "x dim keepdim dtype"],
  "aten.cumsum.default": [sums.cumsum, "x dim dtype"],
  "aten.sort.default": [sums.sort, "x dim descending"],
  "aten.topk.default": [sums.topk, "x k dim largest sorted"],
  "aten.gather.default": [shapes.gather],
  "aten.index.Tensor": [shapes.index],
  "aten.index_select.default": [(x, dim, index) => shapes.take(x, dim, index.data)],
  "aten.select.int": [shapes.select],
  "aten.slice.Tensor": [shapes.slice, "x dim start end step"],
  "aten.narrow.default": [(x, dim, start, length) => shapes.slice(x, dim, start, start + length)],
  "aten.unbind.int": [shapes.unbind, "x dim"],
  "aten.split.Tensor": [shapes.split, "x size dim"],
  "aten.chunk.default": [shapes.chunk, "x count dim"],
  "aten.cat.default": [shapes.cat, "arrays dim"],
  "aten.stack.default": [shapes.stack, "arrays dim"],
  "aten.flip.default": [shapes.flip],
  "aten.unsqueeze.default": [shapes.unsqueeze],
  "aten.squeeze.dim": [shapes.squeeze],
  "aten.transpose.int": [shapes.transpose],
  "aten.t.default": [(x) => (x.ndim < 2 ? x : permute(x, [1, 0]))],
  "aten.mT.default": [(x) => shapes.transpose(x, -1, -2)],
  "aten.permute.default": [permute],
  "aten.expand.default": [shapes.expand, "x shape implicit"],
  "aten.repeat.default": [shapes.repeat],
  "aten.reshape.default": [(x, shape) => x.reshape(shape)],
  "aten.flatten.using_ints": [shapes.flatten],
  "aten.unfold.default": [shapes.unfold],
  "aten.pad.default": [shapes.pad, "x widths mode value"],
  "aten.constant_pad_nd.default": [(x, widths, value = 0) => shapes.pad(x, widths, "constant", value)],
  "aten.to.dtype": [cast, "x dtype"],
  "aten.arange.default": [(end, dtype) => shapes.arange(0, end, 1, dtype), "end dtype"],
  "aten.arange.start": [(start, end, dtype) => shapes.arange(start, end, 1, dtype), "start end dtype"],
  "aten.arange.start_step": [shapes.arange, "start end step dtype"],
  "aten.zeros.default": [zeros, "shape dtype"],
  "aten.ones.default": [ones, "shape dtype"],
  "aten.full.default": [shapes.full, "shape value dtype"],
  "aten.new_zeros.default": [(x, shape, dtype) => zeros(shape, dtype ?? x.dtype), "x shape dtype"],
  "aten.new_ones.default": [(x, shape, dtype) => ones(shape, dtype ?? x.dtype), "x shape dtype"],
  "aten.new_full.default": [
    (x, shape, value, dtype) => shapes.full(shape, value, dtype ?? x.dtype),
    "x shape value dtype",
  ],
  "aten.sym_size.int": [(x, dim) => x.shape[x.axis(dim)]],
  "aten.scalar_tensor.default": [(value, dtype) => shapes.full([], value, dtype ?? "float32"), "value dtype"],
  "python.getitem": [(values, index) => values.at(index)],
  "python.add": [(x, y) => x + y],
  "python.sub": [(x, y) => x - y],
  "python.mul": [(x, y) => exact(x * y)],
  "python.neg": [(x) => -x],
  "python.floordiv": [(x, y) => Math.floor(x / y)],
  "python.sym_max": [Math.max],
  "python.sym_min": [Math.min],
});

/** Other names of the same operators. */
const ALIASES = {
  "aten.add.Scalar": "aten.add.Tensor",
  "aten.sub.Scalar": "aten.sub.Tensor",
  "aten.div.Scalar": "aten.div.Tensor",
  "aten.div.Tensor_mode": "aten.div.Tensor",
  "aten.pow.Tensor_Scalar": "aten.pow.Scalar",
  "aten._softmax.default": "aten.softmax.int",
  "aten._log_softmax.default": "aten.log_softmax.int",
  "aten.mm.default": "aten.matmul.default",
  "aten.bmm.default": "aten.matmul.default",
  "aten.masked_fill.Tensor": "aten.masked_fill.Scalar",
  "aten.sum.default": "aten.sum.dim_IntList",
  "aten.split_with_sizes.default": "aten.split.Tensor",
  "aten.view.default": "aten.reshape.default",
  "aten._unsafe_view.default": "aten.reshape.default",
  "aten._to_copy.default": "aten.to.dtype",
};

/** Return the operators that call compiled functions. */
const compiled = (/** @type {Kernels} */ kernels) =>
  /** @type {Record<string, [Run, string?]>} */ ({
    "aten.linear.default": [(x, weight, bias = null) => kernels.linearOnce(x, weight, bias)],
    "aten.conv1d.default": [
      (x, weight, bias = null, stride = [1], padding = [0], dilation = [1], groups = 1) => {
        if ([...stride, ...dilation, groups].some((n) => n !== 1))
          throw new Error("conv1d: unknown stride, dilation or groups");
        const windows = shapes.unfold(shapes.pad(x, [padding[0], padding[0]]), 2, weight.shape[2], 1); // [B, C, T, W]
        const [B, C, T, W] = windows.shape;
        const columns = permute(windows, [0, 2, 1, 3]).reshape([B, T, C * W]);
        const y = kernels.linearOnce(columns, weight.reshape([weight.shape[0], C * W]), bias);
        return permute(y, [0, 2, 1]);
      },
      "x weight bias stride padding dilation groups",
    ],
    "mtl.pool.default": [
      (gates, c0, lengths, _keep, count, reverse, directions) => {
        const [h, last] = kernels.pool(gates, c0, lengths, count, reverse, directions);
        return [h, last, last];
      },
    ],
    "mtl.pool_rows.default": [kernels.poolRows.bind(kernels)],
    "mtl.cell_rows.default": [kernels.cellRows.bind(kernels)],
    "mtl.pack_cell.default": [(weights) => kernels.packCell(weights)],
    "mtl.lstm.default": [(x, h0, c0, ...weights) => kernels.layer(x, [h0, c0], weights)],
    "mtl.gru.default": [(x, h0, ...weights) => kernels.layer(x, [h0], weights)],
    "mtl.crf_marginals.default": [
      (x, transitions, start, end, mask) => kernels.marginals(x, [transitions, start, end], mask),
    ],
    "mtl.crf_viterbi.default": [
      (x, transitions, start, end, mask) => [kernels.viterbi(x, [transitions, start, end], mask), null],
    ],
  });

/** The operators that a program may use. */
export class Operators {
  /** @type {Map<string, {run: Run, names: string[]}>} */
  #known = new Map();

  constructor(/** @type {Kernels} */ kernels) {
    this.kernels = kernels;
    const put = (/** @type {string} */ name, /** @type {Run} */ run, names = "") =>
      this.#known.set(name, { run, names: names.split(" ") });
    for (const [name, run] of BINARY)
      for (const kind of ["Tensor", "Scalar", "default"]) put(`aten.${name}.${kind}`, run);
    for (const [name, run] of UNARY) put(`aten.${name}.default`, run);
    for (const [name, [run, names]] of Object.entries({ ...PLAIN, ...compiled(kernels) }))
      put(name, run, names);
    for (const [name, other] of Object.entries(ALIASES))
      this.#known.set(name, /** @type {any} */ (this.find(other)));
  }

  /** Return the function of an operator and the names of its arguments; undefined for an unknown operator. */
  find(/** @type {string} */ name) {
    return this.#known.get(name);
  }

  /**
   * Return a faster step for a product with a constant matrix, which then stays in memory as it is read.
   * @param {string} name The name of the operator.
   * @param {Node} node
   * @param {(value: any) => any} constant Returns the constant that an argument refers to, else undefined.
   * @returns {Node}
   */
  folded(name, node, constant) {
    const [x, second, third = null] = node.values;
    let weight = constant(second),
      bias = null;
    if (name === "aten.linear.default") {
      bias = third === null ? null : constant(third);
      if (bias === undefined) return node;
    } else if (name === "aten.matmul.default" || name === "aten.mm.default") {
      weight = weight?.ndim === 2 ? shapes.transpose(weight, 0, 1) : undefined;
    } else return node;
    if (weight?.ndim !== 2 || weight.dtype !== "float32") return node;
    const packed = this.kernels.packLinear(weight, bias);
    return { run: (/** @type {NDArray} */ own) => this.kernels.linear(own, packed), values: [x] };
  }
}

// The compiled functions of runtime/include/mtl_runtime.h, on arrays. Letters: B sentences, T tokens, H width,
// K labels. `lengths` [B] are the numbers of real tokens, which come first in a sentence; null means all.
import { NDArray, make, product } from "./arrays.js";
import { Frame, expectSize } from "./memory.js";

// The order of mtl_call in runtime/csrc/runtime.cpp.
const LENGTHS = 0,
  POOL_ROWS = 1,
  POOL = 2,
  CELL_PACK = 3,
  CELL_ROWS = 4,
  LINEAR_PACK = 5,
  LINEAR = 6;
const VITERBI = 7,
  MARGINALS = 8,
  LOG_PARTITION = 9;
/** The arguments that error codes are about. */
const WRONG = /** @type {Record<number, string>} */ ({ 2: "ids: ", 3: "lengths: ", 4: "mask: " });
const LANES = 4;

/** @typedef {{weights: number, bias: number, outputs: number, inputs: number}} PackedLinear */

/** The functions, with memory of their own. A model that is no longer used gives its memory back as a whole. */
export class Kernels {
  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    this.exports = /** @type {any} */ (instance.exports);
    this.memory = /** @type {WebAssembly.Memory} */ (this.exports.memory);
    this.floats = new Float32Array(this.memory.buffer);
    this.whole = new Int32Array(this.memory.buffer);
    this.exports._initialize();
    this.arguments = this.allocate(8 * 20);
  }

  /** Make the functions from the compiled module `mtl.wasm`. */
  static async from(/** @type {WebAssembly.Module} */ module) {
    /** @type {any} */
    let instance = null;
    const noEnvironment = (/** @type {number} */ count, /** @type {number} */ size) => {
      const view = new DataView(instance.exports.memory.buffer);
      view.setUint32(count, 0, true);
      view.setUint32(size, 0, true);
      return 0;
    };
    instance = await WebAssembly.instantiate(module, {
      env: { emscripten_notify_memory_growth: () => {} },
      wasi_snapshot_preview1: {
        environ_sizes_get: noEnvironment,
        environ_get: () => 0,
        proc_exit: (/** @type {number} */ code) => {
          throw new Error(`the compiled functions ended with code ${code}`);
        },
      },
    });
    return new Kernels(instance);
  }

  // ---- memory

  /** Return the address of `bytes` new bytes. */
  allocate(/** @type {number} */ bytes) {
    const at = this.exports.malloc(Math.max(bytes, 8)) >>> 0;
    if (!at) throw new Error("there is not enough memory");
    this.#renew();
    return at;
  }

  /** Make the views again if the memory has grown, which detaches them. */
  #renew() {
    if (this.floats.buffer === this.memory.buffer) return;
    this.floats = new Float32Array(this.memory.buffer);
    this.whole = new Int32Array(this.memory.buffer);
  }

  /**
   * Run `use` with functions that put numbers into memory; give this memory back afterwards.
   * @template T
   * @param {(frame: Frame) => T} use
   * @returns {T}
   */
  with(use) {
    const frame = new Frame(this);
    try {
      return use(frame);
    } finally {
      frame.free();
    }
  }

  run(/** @type {number} */ code, /** @type {(number | boolean)[]} */ ...values) {
    // 64-bit numbers; all are below 2^53.
    values.forEach((value, i) => {
      const number = Number(value);
      if (!(number >= 0 && number <= Number.MAX_SAFE_INTEGER))
        throw new Error("a size, stride or count is out of range");
      this.whole[this.arguments / 4 + 2 * i] = number | 0;
      this.whole[this.arguments / 4 + 2 * i + 1] = Math.floor(number / 2 ** 32);
    });
    const wrong = this.exports.mtl_call(code, this.arguments);
    this.#renew();
    if (wrong) throw new Error((WRONG[wrong] ?? "") + this.#text(this.exports.mtl_error(wrong)));
  }

  #text(/** @type {number} */ at) {
    const bytes = new Uint8Array(this.memory.buffer, at);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  // ---- QRNN

  /**
   * Return the outputs of a QRNN layer over rows of a table, `[B, T, directions · H]`.
   * @param {NDArray} table `[U, window · directions · count · H]`
   * @param {NDArray} ids The row of each token, `[B, T]`.
   * @param {NDArray | null} lengths
   * @param {NDArray | null} start The first state, `[directions · H]`.
   * @param {number} window
   * @param {number} count The number of gates: 2 for f, 3 for fo, 4 for ifo pooling.
   * @param {boolean} reverse
   * @param {number} directions
   */
  poolRows(table, ids, lengths, start, window, count, reverse, directions) {
    expectGates(count, [2, 3, 4], directions);
    const [B, T] = ids.shape;
    const stride = table.shape[1],
      width = parts(stride, window * directions * count);
    expectSize("start", start, directions * width);
    return this.with((frame) => {
      const [rows, used, places] = frame.rows(table, ids);
      const h = frame.result([B, T, directions * width]);
      const given = [frame.lengths(lengths, B), frame.floats(start)];
      this.run(
        POOL_ROWS,
        rows,
        used,
        stride,
        places,
        B,
        T,
        ...given,
        width,
        window,
        count,
        reverse,
        directions,
        h,
      );
      return frame.read([B, T, directions * width], h);
    });
  }

  /**
   * Return the outputs `[B, T, directions · H]` and last states `[B, directions · H]` of pooling over gates.
   * @param {NDArray} gates `[B, T, directions · count · H]`
   * @param {NDArray | null} c0 The first states, `[B, directions · H]`.
   * @param {NDArray | null} lengths
   * @param {number} count
   * @param {boolean} reverse
   * @param {number} directions
   */
  pool(gates, c0, lengths, count, reverse, directions) {
    expectGates(count, [2, 3, 4], directions);
    const [B, T, size] = gates.shape;
    const width = parts(size, directions * count),
      row = directions * width;
    expectSize("c0", c0, B * row);
    return this.with((frame) => {
      const given = [frame.floats(gates), frame.floats(c0), frame.lengths(lengths, B)];
      const h = frame.result([B, T, row]),
        last = frame.result([B, row]);
      this.run(POOL, ...given, B, T, width, count, reverse, directions, h, last);
      return [frame.read([B, T, row], h), frame.read([B, row], last)];
    });
  }

  // ---- LSTM and GRU

  #cellSize(/** @type {number} */ count, /** @type {number} */ width) {
    return count * Math.ceil(width / LANES) * LANES * width;
  }

  /** Return recurrent weights `[count · H, H]` in the order that `cellRows` reads them. */
  packCell(/** @type {NDArray} */ weights) {
    const [rows, width] = weights.shape;
    if (!width || ![3 * width, 4 * width].includes(rows))
      throw new Error(`weights: expected [3 · H, H] or [4 · H, H] and H > 0, got [${rows}, ${width}]`);
    const size = this.#cellSize(rows / width, width);
    return this.with((frame) => {
      const given = frame.floats(weights),
        packed = frame.result([size]);
      this.run(CELL_PACK, given, rows / width, width, packed);
      return frame.read([size], packed);
    });
  }

  /**
   * Return the outputs of an LSTM (4 gates) or GRU layer (3 gates) over rows of a table, `[B, T, directions · H]`.
   * @param {NDArray} table `[U, directions · count · H]`
   * @param {NDArray} ids The row of each token, `[B, T]`.
   * @param {NDArray | null} lengths
   * @param {NDArray | null} start The first state, `[count - 2, directions · H]`, or one per sentence.
   * @param {NDArray} packed The results of `packCell`, `[directions, …]`.
   * @param {NDArray | null} bias The recurrent bias of the last gate of a GRU, `[directions, H]`.
   * @param {number} count
   * @param {boolean} reverse
   * @param {number} directions
   */
  cellRows(table, ids, lengths, start, packed, bias, count, reverse, directions) {
    expectGates(count, [3, 4], directions);
    const [B, T] = ids.shape;
    const stride = table.shape[1],
      width = parts(stride, directions * count),
      row = directions * width;
    const state = (count - 2) * row,
      own = start?.ndim === 3 ? state : 0;
    expectSize("start", start, own ? B * state : state);
    expectSize("packed", packed, directions * this.#cellSize(count, width));
    expectSize("bias", bias, row);
    if ((bias === null) === (count === 3))
      throw new Error("bias: expected [directions, H] for 3 gates, None for 4");
    return this.with((frame) => {
      const [rows, used, places] = frame.rows(table, ids);
      const h = frame.result([B, T, row]);
      const given = [
        frame.lengths(lengths, B),
        frame.floats(start),
        own,
        frame.floats(packed),
        frame.floats(bias),
      ];
      this.run(
        CELL_ROWS,
        rows,
        used,
        stride,
        places,
        B,
        T,
        ...given,
        width,
        count,
        reverse,
        directions,
        h,
        0,
      );
      return frame.read([B, T, row], h);
    });
  }

  /**
   * Return the outputs `[B, T, H]` and the last states h (and c of an LSTM), each `[1, B, H]`, of a layer.
   * @param {NDArray} x `[B, T, D]`; all tokens are real.
   * @param {NDArray[]} states The first h, and c of an LSTM, `[1, B, H]`.
   * @param {NDArray[]} weights w_ih, w_hh, b_ih and b_hh, as in torch.
   */
  layer(x, states, weights) {
    const [wih, whh, bih, bhh] = weights;
    const [B, T, D] = x.shape,
      H = states[0].shape[2],
      count = states.length + 2;
    const packed = whh.ndim === 1 ? whh : this.packCell(whh);
    [
      [wih, count * H * D],
      [packed, this.#cellSize(count, H)],
      [bih, count * H],
      [bhh, count * H],
    ].forEach(([own, size], n) =>
      expectSize(["w_ih", "w_hh", "b_ih", "b_hh"][n], /** @type {any} */ (own), Number(size)),
    );
    states.forEach((own) => expectSize("h0", own, B * H));
    // The last gate of a GRU needs its recurrent bias inside of a product.
    const inside = count === 4 ? count * H : 2 * H;
    const bias = make([count * H], "float32");
    bias.data.set(bih.data.map((own, i) => own + (i < inside ? bhh.data[i] : 0)));
    return this.with((frame) => {
      const given = this.#packed(wih, bias, (bytes) => frame.take(bytes));
      const products = frame.result([B * T, count * H]);
      this.#linear(frame.floats(x), B * T, given, products);
      const start = make([B, states.length, H], "float32");
      states.forEach((own, n) => {
        for (let b = 0; b < B; ++b)
          start.data.set(own.data.subarray(b * H, (b + 1) * H), (b * states.length + n) * H);
      });
      const rest = count === 3 ? frame.floats(new NDArray(bhh.data.subarray(inside), [H], "float32")) : 0;
      const h = frame.result([B, T, H]),
        c = frame.result([1, B, H]);
      const first = [0, frame.floats(start), states.length * H, frame.floats(packed), rest];
      this.run(
        CELL_ROWS,
        products,
        B * T,
        count * H,
        0,
        B,
        T,
        ...first,
        H,
        count,
        false,
        1,
        h,
        count === 4 ? c : 0,
      );
      const out = frame.read([B, T, H], h),
        last = make([1, B, H], "float32");
      for (let b = 0; b < B; ++b) {
        const source = T
          ? out.data.subarray((b * T + T - 1) * H, (b * T + T) * H)
          : states[0].data.subarray(b * H, (b + 1) * H);
        last.data.set(source, b * H);
      }
      return count === 4 ? [out, last, frame.read([1, B, H], c)] : [out, last];
    });
  }

  // ---- linear layers

  /**
   * Keep the weights `[K, D]` of a linear layer in memory, in the order that `linear` reads them.
   * @param {NDArray} weight
   * @param {NDArray | null} bias `[K]`
   */
  packLinear(weight, bias) {
    return this.#packed(weight, bias, (bytes) => this.allocate(bytes));
  }

  /**
   * @param {NDArray} weight
   * @param {NDArray | null} bias
   * @param {(bytes: number) => number} take
   * @returns {PackedLinear}
   */
  #packed(weight, bias, take) {
    const [outputs, inputs] = weight.shape;
    expectSize("bias", bias, outputs);
    const weights = take(4 * Math.ceil(outputs / LANES) * LANES * inputs);
    const at = bias ? take(4 * outputs) : 0;
    if (bias) this.floats.set(bias.data, at / 4);
    this.with((frame) => this.run(LINEAR_PACK, frame.floats(weight), outputs, inputs, weights));
    return { weights, bias: at, outputs, inputs };
  }

  #linear(
    /** @type {number} */ x,
    /** @type {number} */ rows,
    /** @type {PackedLinear} */ p,
    /** @type {number} */ y,
  ) {
    this.run(LINEAR, x, rows, p.weights, p.bias, p.outputs, p.inputs, y);
  }

  /** Return x `[…, D]` times the transposed weights, plus the bias, `[…, K]`. */
  linear(/** @type {NDArray} */ x, /** @type {PackedLinear} */ packed) {
    const shape = [...x.shape.slice(0, -1), packed.outputs];
    if (x.shape.at(-1) !== packed.inputs)
      throw new Error(`x: expected [N, ${packed.inputs}], got [${x.shape}]`);
    return this.with((frame) => {
      const given = frame.floats(x),
        y = frame.result(shape);
      this.#linear(given, product(shape.slice(0, -1)), packed, y);
      return frame.read(shape, y);
    });
  }

  /** Return the same for weights that are used once, `[K, D]`. */
  linearOnce(/** @type {NDArray} */ x, /** @type {NDArray} */ weight, /** @type {NDArray | null} */ bias) {
    return this.with((frame) =>
      this.linear(
        x,
        this.#packed(weight, bias, (bytes) => frame.take(bytes)),
      ),
    );
  }

  // ---- CRF

  /**
   * @param {number} code
   * @param {NDArray} emissions `[B, T, K]`
   * @param {NDArray[]} steps The scores of transitions `[K, K]`, of the first label and of the last label `[K]`.
   * @param {NDArray | null} mask `[B, T]`, true on real tokens, which come first.
   * @param {number} dimensions The dimensions of the emissions that the result has.
   */
  #labelled(code, emissions, steps, mask, dimensions) {
    const [B, T, K] = emissions.shape;
    if (!K) throw new Error("emissions: expected at least one label");
    [K * K, K, K].forEach((size, n) => expectSize(["transitions", "start", "end"][n], steps[n], size));
    expectSize("mask", mask, B * T);
    return this.with((frame) => {
      let lengths = 0;
      if (mask) {
        lengths = frame.take(8 * B);
        const at = frame.take(B * T);
        new Uint8Array(this.memory.buffer).set(mask.data, at);
        this.run(LENGTHS, at, B, T, lengths);
      }
      const given = [emissions, ...steps].map((own) => frame.floats(own));
      const shape = emissions.shape.slice(0, dimensions);
      // Paths have 64-bit numbers.
      const found = frame.take((code === VITERBI ? 8 : 4) * product(shape));
      this.run(code, ...given, lengths, B, T, K, found);
      if (code !== VITERBI) return frame.read(shape, found);
      const paths = make(shape, "int64");
      for (let i = 0; i < paths.size; ++i) paths.data[i] = this.whole[found / 4 + 2 * i];
      return paths;
    });
  }

  /** Return the best path of each sentence, `[B, T]`, 0 on padding. Minus infinity forbids a label or transition. */
  viterbi(
    /** @type {NDArray} */ emissions,
    /** @type {NDArray[]} */ steps,
    /** @type {NDArray | null} */ mask,
  ) {
    return this.#labelled(VITERBI, emissions, steps, mask, 2);
  }

  /** Return the probability of each label at each token, `[B, T, K]`, zero on padding. */
  marginals(
    /** @type {NDArray} */ emissions,
    /** @type {NDArray[]} */ steps,
    /** @type {NDArray | null} */ mask,
  ) {
    return this.#labelled(MARGINALS, emissions, steps, mask, 3);
  }

  /** Return the logarithm of the sum over all paths of e^score, `[B]`. */
  logPartition(
    /** @type {NDArray} */ emissions,
    /** @type {NDArray[]} */ steps,
    /** @type {NDArray | null} */ mask,
  ) {
    return this.#labelled(LOG_PARTITION, emissions, steps, mask, 1);
  }
}

function expectGates(
  /** @type {number} */ count,
  /** @type {number[]} */ counts,
  /** @type {number} */ directions,
) {
  if (!counts.includes(count)) throw new Error(`count: expected one of ${counts}, got ${count}`);
  if (directions !== 1 && directions !== 2) throw new Error(`directions: expected 1 or 2, got ${directions}`);
}

function parts(/** @type {number} */ size, /** @type {number} */ count) {
  if (!(count >= 1) || size % count)
    throw new Error(`expected a multiple of ${count} numbers per row, got ${size}`);
  return size / count;
}

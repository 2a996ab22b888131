// The memory of the compiled functions during a call: copies of arrays, which are given back at its end.
import { NDArray, product } from "./arrays.js";

/** @typedef {import("./kernels.js").Kernels} Kernels */

/** The memory of one call. */
export class Frame {
  /** @type {number[]} */
  #taken = [];

  constructor(/** @type {Kernels} */ kernels) {
    this.kernels = kernels;
  }

  take(/** @type {number} */ bytes) {
    const at = this.kernels.allocate(bytes);
    this.#taken.push(at);
    return at;
  }

  free() {
    for (const at of this.#taken) this.kernels.exports.free(at);
  }

  /** Return the address of a copy of an array; 0 for null. */
  floats(/** @type {NDArray | null} */ array) {
    if (array === null) return 0;
    const at = this.take(4 * array.size);
    this.kernels.floats.set(array.data, at / 4);
    return at;
  }

  /** Return the address of a copy of whole numbers, as 64-bit ones. */
  #whole(/** @type {ArrayLike<number>} */ numbers) {
    const at = this.take(8 * numbers.length);
    const to = this.kernels.whole;
    for (let i = 0, place = at / 4; i < numbers.length; ++i) {
      to[place++] = numbers[i];
      to[place++] = numbers[i] < 0 ? -1 : 0;
    }
    return at;
  }

  lengths(/** @type {NDArray | null} */ lengths, /** @type {number} */ count) {
    expectSize("lengths", lengths, count);
    return lengths ? this.#whole(lengths.data) : 0;
  }

  /**
   * Put the rows of a table that ids refer to into memory.
   * @param {NDArray} table
   * @param {NDArray} ids
   * @returns {[number, number, number]} Their address, their number, and the address of the ids among them.
   */
  rows(table, ids) {
    const [rows, stride] = table.shape;
    const places = new Int32Array(rows).fill(-1),
      own = new Int32Array(ids.size);
    const used = [];
    for (let i = 0; i < ids.size; ++i) {
      const id = ids.data[i];
      if (!(id >= 0 && id < rows)) throw new Error("ids: an id is not a row of the table");
      if (places[id] < 0) places[id] = used.push(id) - 1;
      own[i] = places[id];
    }
    const at = this.take(4 * used.length * stride);
    const to = this.kernels.floats;
    used.forEach((id, n) => to.set(table.data.subarray(id * stride, (id + 1) * stride), at / 4 + n * stride));
    return [at, used.length, this.#whole(own)];
  }

  /** Return the address of an array to write. */
  result(/** @type {number[]} */ shape) {
    return this.take(4 * product(shape));
  }

  /** Return a copy of an array in memory. */
  read(/** @type {number[]} */ shape, /** @type {number} */ at) {
    const found = this.kernels.floats.slice(at / 4, at / 4 + product(shape));
    return new NDArray(found, shape, "float32");
  }
}

/** Throw an error if an array has another number of numbers. */
export function expectSize(
  /** @type {string} */ name,
  /** @type {NDArray | null} */ array,
  /** @type {number} */ size,
) {
  if (array && array.size !== size)
    throw new Error(`${name}: expected ${size} numbers, got [${array.shape}]`);
}

// Programs: graphs of operators, run on arrays; see runtime/mtl_runtime/graph.py.
import { MOST, NDArray, isType } from "./arrays.js";
import { GraphError, shown } from "./errors.js";

/** The strings that operators other than einsum accept. */
const WORDS = new Set(["none", "tanh", "constant", "floor", "trunc"]);
const EINSUM = "aten.einsum.default";

/** A reference to a value. */
class Name {
  constructor(/** @type {string} */ name) {
    this.name = name;
  }
}

/** The name of a type among the arguments of an operator. */
export class Type {
  constructor(/** @type {any} */ name) {
    this.name = name;
  }
}

/** @typedef {(...values: any[]) => any} Run */
/** @typedef {{run: Run, values: any[]}} Node */
/** @typedef {import("./operators.js").Operators} Operators */

/** A graph that is ready to run. */
export class Program {
  /** @type {Map<string, Node>} */
  #nodes = new Map();
  /** @type {Map<string, any>} Values that do not depend on inputs. */
  #known = new Map();
  /** @type {Map<string, any>} */
  #outputs;

  /**
   * @param {any} graph "inputs", "nodes" and "outputs"; see mtl/export/graph.py.
   * @param {Map<string, NDArray>} constants
   * @param {Operators} operators
   */
  constructor(graph, constants, operators) {
    /** @type {string[]} */
    this.inputs = [...graph.inputs];
    let room = MOST + 2 * [...constants.values()].reduce((all, own) => all + own.size, 0);
    for (const [name, operator, values, named] of graph.nodes) {
      const node = this.#node(name, operator, values, named, operators, constants);
      const used = namesIn(node.values);
      if (used.every((own) => this.#known.has(own))) {
        const found = node.run(...node.values.map((value) => filled(value, this.#known)));
        room -= found instanceof NDArray ? found.size : 0;
        if (room < 0) throw new GraphError("the constants are too large");
        this.#known.set(name, found);
      } else {
        const constant = (/** @type {any} */ value) =>
          value instanceof Name ? this.#known.get(value.name) : undefined;
        this.#nodes.set(name, operators.folded(operator, node, constant));
      }
    }
    this.#outputs = new Map(Object.entries(graph.outputs).map(([name, value]) => [name, decoded(value)]));
    for (const [name, value] of this.#outputs)
      for (const other of namesIn(value)) this.#expect(other, constants, `output ${name}`);
  }

  /**
   * @param {string} name
   * @param {string} operator
   * @param {any[]} values
   * @param {Record<string, any>} named
   * @param {Operators} operators
   * @param {Map<string, NDArray>} constants
   * @returns {Node}
   */
  #node(name, operator, values, named, operators, constants) {
    const own = operators.find(operator);
    if (!own)
      throw new GraphError(
        `unknown operator ${operator}; it needs mtl-runtime for Python, or a newer version`,
      );
    if (this.inputs.includes(name) || this.#nodes.has(name) || this.#known.has(name) || constants.has(name))
      throw new GraphError(`${name}: occurs twice`);
    const found = values.map(decoded);
    for (const [key, value] of Object.entries(named)) {
      const place = own.names.indexOf(key);
      if (place < 0) throw new GraphError(`${name}: ${operator} has no argument ${shown(key)}`);
      found[place] = decoded(value);
    }
    for (const value of found)
      if (typeof value === "string" && !WORDS.has(value) && operator !== EINSUM)
        throw new GraphError(`${name}: unknown argument ${shown(value.slice(0, 40))}`);
    for (const other of namesIn(found)) this.#expect(other, constants, name);
    // A place without a value in between has the default of the operator.
    return { run: own.run, values: Array.from(found) };
  }

  /** Throw an error if a value has not been computed before. */
  #expect(
    /** @type {string} */ name,
    /** @type {Map<string, NDArray>} */ constants,
    /** @type {string} */ user,
  ) {
    const constant = constants.get(name);
    if (constant && !this.#known.has(name)) this.#known.set(name, constant);
    if (!this.#known.has(name) && !this.inputs.includes(name) && !this.#nodes.has(name))
      throw new GraphError(`${user}: unknown value ${name}`);
  }

  /**
   * Return some outputs, computed from inputs by name.
   * @param {Map<string, NDArray>} inputs
   * @param {string[]} outputs
   * @returns {Map<string, any>}
   */
  run(inputs, outputs) {
    const needed = this.#needed(outputs);
    const found = new Map(this.#known);
    for (const name of this.inputs) found.set(name, inputs.get(name));
    for (const [name, node] of this.#nodes)
      if (needed.has(name)) found.set(name, node.run(...node.values.map((value) => filled(value, found))));
    return new Map(outputs.map((name) => [name, filled(this.#outputs.get(name), found)]));
  }

  /** @type {Map<string, Set<string>>} */
  #plans = new Map();

  /** Return the names of the nodes that some outputs depend on. */
  #needed(/** @type {string[]} */ outputs) {
    const key = JSON.stringify(outputs);
    let needed = this.#plans.get(key);
    if (needed) return needed;
    needed = new Set();
    const waiting = outputs.flatMap((name) => namesIn(this.#outputs.get(name)));
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const node = this.#nodes.get(name);
      if (!node || needed.has(name)) continue;
      needed.add(name);
      waiting.push(...namesIn(node.values));
    }
    this.#plans.set(key, needed);
    return needed;
  }
}

/**
 * Return an argument with references as `Name` and types as `Type`.
 * @param {any} value
 * @returns {any}
 */
function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded);
  if (value === null || typeof value !== "object") return value;
  if ("of" in value) return new Name(value.of);
  if ("float" in value)
    return { inf: Infinity, "-inf": -Infinity }[/** @type {string} */ (value.float)] ?? Number(value.float);
  if (!isType(value.dtype)) throw new GraphError(`unknown type ${shown(value.dtype)}`);
  return new Type(value.dtype);
}

/**
 * @param {any} value
 * @returns {string[]}
 */
function namesIn(value) {
  if (value instanceof Name) return [value.name];
  return Array.isArray(value) ? value.flatMap(namesIn) : [];
}

/**
 * Return an argument with values in the place of references.
 * @param {any} value
 * @param {Map<string, any>} known
 * @returns {any}
 */
function filled(value, known) {
  if (value instanceof Name) return known.get(value.name);
  if (value instanceof Type) return value.name;
  return Array.isArray(value) ? value.map((own) => filled(own, known)) : value;
}

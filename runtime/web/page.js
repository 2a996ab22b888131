// The page that labels typed text with a model that the user chooses.
import { load } from "./mtl.js";

/** @typedef {import("./mtl.js").Model} Model */
/** @typedef {import("./mtl.js").Prediction} Prediction */
/** @typedef {import("./model.js").TaskDescription} TaskDescription */

const COLOURS = 8; // .c0 to .c7 in style.css
const SHOWN = 5; // labels whose probability is shown
const SLICE = 50; // milliseconds of work between two looks at the keyboard

const find = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const [file, status, problem, form] = ["file", "status", "error", "form"].map(find);
const [text, second, tasks, unit, confidence, results] = [
  "text",
  "second",
  "tasks",
  "unit",
  "confidence",
  "results",
].map(find);

/** @type {Model | null} */
let model = null;

/**
 * Return an element. Text is never read as HTML.
 * @param {string} name
 * @param {Record<string, any>} properties
 * @param {(Node | string)[]} children
 */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const fraction = (/** @type {number | undefined} */ number) =>
  number === undefined ? "" : ` ${number.toFixed(2)}`;

// ---- the model

/** Show an error and return nothing. */
function fail(/** @type {unknown} */ error) {
  problem.textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
}

let chosenLast = 0;
let latest = 0; // the number of calls of `update`, and of `open`, that end the work of earlier ones

/** Load a model, and show its tasks. A later call makes an earlier one irrelevant. */
async function open(/** @type {Blob | string} */ source, /** @type {string} */ name) {
  const own = ++chosenLast;
  ++latest; // the text is no longer labelled with the model before
  model = null;
  problem.hidden = form.hidden = true;
  results.replaceChildren();
  status.textContent = `Loading ${name} …`;
  try {
    const start = performance.now();
    const found = await load(source);
    if (own !== chosenLast) return;
    model = found;
    status.textContent = `${name}: loaded in ${((performance.now() - start) / 1000).toFixed(1)} s`;
  } catch (error) {
    if (own !== chosenLast) return;
    status.textContent = "Choose the file of a model.";
    fail(error);
    return;
  }
  showTasks(model);
  form.hidden = false;
  text.focus();
  await update();
}

function showTasks(/** @type {Model} */ model) {
  const names = model.select();
  const ticks = model.tasks.map((task) => {
    const tick = element("input", { type: "checkbox", value: task, checked: names.includes(task) });
    return element("label", {}, tick, task);
  });
  tasks.replaceChildren(element("legend", { textContent: "Tasks" }), ...ticks);
  const own = model.tasks.map((task) => model.describe(task));
  second.parentElement.hidden = !own.some(({ pairs }) => pairs);
  unit.value = own.every(({ unit, pairs }) => unit === "sentence" && !pairs) ? "sentence" : "line";
}

// ---- labels

/** Label the text anew. A later call ends the work of an earlier one. */
async function update() {
  const own = ++latest;
  if (!model) return;
  problem.hidden = true;
  /** @type {HTMLInputElement[]} */
  const ticks = [...tasks.querySelectorAll("input:checked")];
  const chosen = ticks.map((tick) => tick.value);
  const shown = [];
  try {
    const options = {
      tasks: chosen,
      confidence: true,
      splitSentences: unit.value === "sentence",
      chunkSize: 8,
    };
    const predictions = chosen.length ? model.annotate(items(model, chosen), options) : [];
    let start = performance.now();
    for (const prediction of predictions) {
      shown.push(result(model, prediction, chosen));
      if (performance.now() - start < SLICE) continue;
      await new Promise((resume) => setTimeout(resume));
      if (own !== latest) return;
      start = performance.now();
    }
  } catch (error) {
    fail(error);
  }
  results.replaceChildren(...shown);
}

/** Return the typed texts, or pairs of texts for tasks that compare two. */
function items(/** @type {Model} */ model, /** @type {string[]} */ chosen) {
  const lines = text.value.split("\n");
  const others = second.value.split("\n");
  if (!chosen.every((task) => model.describe(task).pairs))
    return lines.filter((/** @type {string} */ line) => line.trim());
  return lines.flatMap((/** @type {string} */ line, /** @type {number} */ i) =>
    line.trim() ? [[line, others[i] ?? ""]] : [],
  );
}

/** Return the labels of one text. */
function result(
  /** @type {Model} */ model,
  /** @type {Prediction} */ prediction,
  /** @type {string[]} */ chosen,
) {
  const parts = chosen.flatMap((task) => {
    const own = model.describe(task);
    const made = own.level === "sentence" ? answer : own.spans ? marked : labelled;
    return [element("h2", { textContent: task }), made(model, prediction, task, own)];
  });
  const taggers = chosen.filter((task) => model.describe(task).level === "token");
  const whole = [prediction.text, prediction.sentence.textB].filter(Boolean).join(" | ");
  return element(
    "section",
    { className: "result" },
    ...(taggers.length ? [] : [element("p", {}, whole)]),
    ...parts,
  );
}

/** @typedef {(model: Model, prediction: Prediction, task: string, own: TaskDescription) => HTMLElement} Show */

/** @type {Show} The label of a text, and the probabilities of the most probable labels. */
function answer(model, prediction, task, own) {
  const value = prediction.labels[task],
    certain = prediction.confidence[task];
  const made = element("div", {}, element("p", { className: "answer", textContent: said(value) }));
  if (!confidence.checked || prediction.lacksLabel(task)) return made;
  const rows = Object.entries(own.form === "set" ? certain : own.form === "distribution" ? value : {});
  if (own.form === "label") {
    // `probabilities` reads a text as a whole.
    const whole = own.unit === "record" || prediction.sentence.bounds.length === 1;
    const { sentence } = prediction;
    const [numbers] = whole ? model.probabilities([sentence], task).probabilities : [];
    if (numbers) own.labels.forEach((label, k) => rows.push([label, numbers[k]]));
    else rows.push([value, certain]);
  }
  const cells = rows
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([label, number]) =>
      element(
        "tr",
        {},
        element("td", {}, label),
        element("td", {}, element("meter", { value: number })),
        element("td", { className: "number" }, number.toFixed(3)),
      ),
    );
  if (cells.length)
    made.append(
      element("div", { className: "scroll" }, element("table", {}, element("tbody", {}, ...cells))),
    );
  return made;
}

/** Return a value in words. */
function said(/** @type {any} */ value) {
  if (value === null) return "–";
  if (Array.isArray(value)) return value.join(", ") || "–";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (typeof value === "string") return value;
  const entries = /** @type {[string, number][]} */ (Object.entries(value)).sort(([, a], [, b]) => b - a);
  return entries.length ? `${entries[0][0]}${fraction(entries[0][1])}` : "–";
}

/** @type {Show} The text with its spans in colours. */
function marked(_model, prediction, task, own) {
  const kinds = [
    ...new Set(own.labels.filter((tag) => tag !== "O").map((tag) => tag.slice(tag.indexOf("-") + 1))),
  ];
  const made = element("div", { className: "text" }),
    whole = prediction.text ?? "";
  const { start } = prediction.sentence;
  let place = 0;
  for (const span of prediction.spans[task]) {
    const first = (span.start ?? 0) - start,
      last = (span.end ?? 0) - start;
    const number = confidence.checked ? fraction(span.confidence) : "";
    const label = element("small", { textContent: span.type + number });
    const colour = kinds.indexOf(span.type) % COLOURS;
    made.append(whole.slice(place, first));
    made.append(
      element("span", { className: `span c${colour}` }, element("b", { textContent: span.text }), label),
    );
    place = last;
  }
  made.append(whole.slice(place));
  return made;
}

/** @type {Show} The words with their labels below. */
function labelled(_model, prediction, task, own) {
  const certain = prediction.confidence[task] ?? [];
  const words = prediction.tokens.map((token, i) => {
    const value = prediction.labels[task][i],
      colour = own.labels.indexOf(value);
    const number = confidence.checked && typeof certain[i] === "number" ? fraction(certain[i]) : "";
    const label = element("small", { textContent: said(value) + number });
    const className = colour < 0 ? "" : `c${colour % COLOURS}`;
    return element("span", { className }, element("b", { textContent: token }), label);
  });
  return element("div", { className: "words" }, ...words);
}

// ---- events

/** @type {ReturnType<typeof setTimeout> | undefined} */
let waiting;
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(update, 100);
});
form.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
file.addEventListener("change", () => {
  if (file.files.length) open(file.files[0], file.files[0].name);
});
const address = new URLSearchParams(location.search).get("model");
if (address) open(address, address);

"use strict";
/* Tables that can be sorted and filtered, and series of pictures with a slider. */
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell ? (cell.dataset.value ?? cell.textContent.trim()) : "";
  };

  const sortable = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const number = (text) => (text === "" ? NaN : Number(text.replace(/[,%−]/g, (c) => (c === "−" ? "-" : ""))));
        const keys = new Map(rows.map((row) => [row, value(row, column)]));
        const numeric = [...keys.values()].every((text) => text === "–" || text === "" || !Number.isNaN(number(text)));
        const order = (a, b) => {
          if (!numeric) return keys.get(a).localeCompare(keys.get(b));
          const [x, y] = [number(keys.get(a)), number(keys.get(b))];
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return x - y;
        };
        rows.sort((a, b) => (down ? -order(a, b) : order(a, b)));
        body.append(...rows);
      });
    });
  };

  /* Controls name their column, counted from 0; a text field without a column searches the whole row. */
  const filtered = (box) => {
    const table = document.getElementById(box.dataset.for);
    const rows = [...table.tBodies[0].rows];
    const controls = [...box.querySelectorAll("select, input")];
    const count = box.querySelector("output");
    for (const control of controls) {
      if (control.tagName !== "SELECT") continue;
      const column = Number(control.dataset.column);
      const found = [...new Set(rows.map((row) => value(row, column)))];
      found.sort((a, b) => a.localeCompare(b));
      control.append(new Option("all", "\u0000"), ...found.map((text) => new Option(text || "(none)", text)));
    }
    const apply = () => {
      let shown = 0;
      for (const row of rows) {
        const kept = controls.every((control) => {
          const column = control.dataset.column;
          if (control.tagName === "SELECT") {
            return control.value === "\u0000" || value(row, Number(column)) === control.value;
          }
          const text = column === undefined ? row.textContent : value(row, Number(column));
          return text.toLowerCase().includes(control.value.toLowerCase());
        });
        row.hidden = !kept;
        shown += kept;
      }
      if (count) count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
    };
    controls.forEach((control) => control.addEventListener("input", apply));
    apply();
  };

  const frames = (box) => {
    const slider = box.querySelector("input");
    const pictures = [...box.querySelectorAll("[data-frame]")];
    const show = () => {
      pictures.forEach((picture, index) => (picture.hidden = index !== Number(slider.value)));
      slider.setAttribute("aria-valuetext", pictures[Number(slider.value)].dataset.frame);
    };
    slider.addEventListener("input", show);
    show();
  };

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll(".filters[data-for]").forEach(filtered);
  document.querySelectorAll(".frames").forEach(frames);
})();

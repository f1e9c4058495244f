"use strict";
// Fills the source x target matrices at the chosen level, and the table of all comparisons. Columns: `Matrix` in matrices.py.

const MATRICES = DATA.matrices;
const MOST_ROWS = 1000;
const COLUMNS = ["comparison", "source", "target", "n", "difference", "95 % interval", "t", "p", "p (Holm)", "tests", "Hedges' g",
  "p (equivalent)", "p (not worse)", "remark"];

// Hundredths of a point as Python writes them: f"{points:+.2f}".
const signed = (value) => (value < 0 || Object.is(value, -0) ? "-" : "+") + (Math.abs(value) / 100).toFixed(2);
const probability = (value) => (value === 0 ? "< 0.000001" : `= ${value}`);
const element = (name, text = "", className = "") => Object.assign(document.createElement(name), { textContent: text, className });

function rowsAt(table, level) {
  return Array.from({ length: table.start[level + 1] - table.start[level] }, (_, offset) => table.start[level] + offset);
}

function explained(table, row, level) {
  const where = `${MATRICES.sources[table.s[row]]} → ${MATRICES.targets[table.c[row]]}, round ${table.round[row]}: `;
  const difference = table.d[row] === null ? "" : `${signed(table.d[row])} points, `;
  const remark = MATRICES.remarks[table.why[row]];
  if (remark) return `${where}${difference}n = ${table.n[row]}. No test: ${remark}.`;
  const margin = Number((100 * table.margin).toPrecision(6));
  return `${where}${difference}95 % interval ${signed(table.low[row])} to ${signed(table.high[row])}; n = ${table.n[row]}, t = ${table.t[row]}, ` +
    `p ${probability(table.p[row])}, after Holm's correction over ${table.tests[level]} tests p ${probability(table.holm[row])}; ` +
    `Hedges' g = ${table.g[row]}. Equivalent within ±${margin} points: p ${probability(table.same[row])}; ` +
    `not worse by ${margin} points: p ${probability(table.worse[row])}.`;
}

function fillCell(cell, table, row, strongest) {
  const remark = MATRICES.remarks[table.why[row]];
  cell.append(element("span", table.d[row] === null ? "n/a" : signed(table.d[row]), "value"));
  const marks = (table.flags[row] & 1 ? "*" : "") + (table.flags[row] & 2 ? "≡" : "");
  if (marks) cell.append(element("span", marks, "marks"));
  cell.append(element("span", remark ? "no test" : `${signed(table.low[row])} to ${signed(table.high[row])}`, "interval"));
  if (remark) {
    cell.classList.add("untested");
    cell.title = remark;
  } else {
    cell.dataset.sign = Math.sign(table.d[row]);
    cell.style.setProperty("--k", Math.abs(table.d[row]) / strongest);
  }
}

function fillMatrix(table, level) {
  const box = document.getElementById(table.id), body = box.querySelector("tbody");
  const at = new Map();
  for (const row of rowsAt(table, level)) {
    const place = `${table.s[row]} ${table.c[row]}`;
    if (!at.has(place)) at.set(place, row);
  }
  const own = new Set(MATRICES.own.map((pair) => pair.join(" ")));
  const strongest = Math.max(1, ...[...at.values()].map((row) => Math.abs(table.d[row] ?? 0)));
  const kept = [];
  const rows = table.rows.map((source) => {
    const line = element("tr"), heading = element("th", MATRICES.sources[source]);
    heading.scope = "row";
    line.append(heading);
    for (const target of table.columns) {
      const cell = element("td"), place = `${source} ${target}`, row = at.get(place);
      if (own.has(place)) cell.classList.add("own");
      if (row === undefined) {
        cell.classList.add("absent");
        cell.textContent = own.has(place) && table.comparison === "transfer" ? "own source" : "–";
      } else {
        fillCell(cell, table, row, strongest);
      }
      cell.tabIndex = -1;
      cell.dataset.row = row ?? "";
      line.append(cell);
      kept.push(cell);
    }
    return line;
  });
  body.replaceChildren(...rows);
  if (kept.length) kept[0].tabIndex = 0;
  box.querySelector(".details").textContent = "";
  box.querySelector(".family").textContent = `Here ${table.tests[level] ?? 0} tests; full colour is ±${(strongest / 100).toFixed(2)} points.`;
}

// One cell of a matrix can be reached with Tab, the others with the arrow keys.
function listen(table) {
  const box = document.getElementById(table.id), body = box.querySelector("tbody"), details = box.querySelector(".details");
  const explain = (event) => {
    const cell = event.target.closest("td");
    if (!cell) return;
    const level = Number(document.getElementById("level").value);
    details.textContent = cell.dataset.row === "" ? "Nothing is compared here at this level." : explained(table, Number(cell.dataset.row), level);
  };
  body.addEventListener("pointerover", explain);
  body.addEventListener("focusin", explain);
  body.addEventListener("click", (event) => event.target.closest("td")?.focus());
  body.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const cell = event.target.closest("td");
    const next = step && cell && body.rows[cell.parentElement.sectionRowIndex + step[0]]?.cells[cell.cellIndex + step[1]];
    if (!next || next.tagName !== "TD") return;
    event.preventDefault();
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

const sorting = { column: null, down: false };

function comparisonRows(level) {
  return MATRICES.tables.flatMap((table) => rowsAt(table, level).map((row) => [
    table.title, MATRICES.sources[table.s[row]], MATRICES.targets[table.c[row]], table.n[row], table.d[row], table.low[row], table.t[row],
    table.p[row], table.holm[row], table.tests[level], table.g[row], table.same[row], table.worse[row], MATRICES.remarks[table.why[row]],
    table.high[row],
  ]));
}

function written(row, column) {
  const value = row[column];
  if (value === null || value === undefined) return "";
  if (column === 4) return signed(value);
  if (column === 5) return `${signed(value)} to ${signed(row[14])}`;
  return COLUMNS[column].startsWith("p") && value === 0 ? "< 0.000001" : String(value);
}

function fillComparisons() {
  const box = document.getElementById("comparisons");
  if (!box.open) return;
  const rows = comparisonRows(Number(document.getElementById("level").value));
  if (sorting.column !== null) {
    const order = sorting.down ? -1 : 1, last = (value) => value === null || value === "";
    rows.sort(({ [sorting.column]: a }, { [sorting.column]: b }) => last(a) - last(b) || order * (a < b ? -1 : a > b ? 1 : 0));
  }
  const line = element("tr");
  COLUMNS.forEach((name, column) => {
    const heading = element("th"), button = element("button", name);
    heading.scope = "col";
    if (sorting.column === column) heading.ariaSort = sorting.down ? "descending" : "ascending";
    button.addEventListener("click", () => {
      sorting.down = sorting.column === column && !sorting.down;
      sorting.column = column;
      fillComparisons();
      box.querySelectorAll("th button")[column].focus();
    });
    heading.append(button);
    line.append(heading);
  });
  box.querySelector("thead").replaceChildren(line);
  box.querySelector("tbody").replaceChildren(...rows.slice(0, MOST_ROWS).map((row) => {
    const of = element("tr");
    of.append(...COLUMNS.map((_, column) => element("td", written(row, column), typeof row[column] === "number" ? "number" : "")));
    return of;
  }));
  box.querySelector(".about").textContent = rows.length > MOST_ROWS ? `${rows.length - MOST_ROWS} more rows are in comparisons.csv.` : "";
}

function startMatrices() {
  if (!MATRICES) return;
  const select = document.getElementById("level");
  const fill = () => {
    MATRICES.tables.forEach((table) => fillMatrix(table, Number(select.value)));
    fillComparisons();
  };
  select.value = MATRICES.chosen; // a browser may remember another choice
  select.addEventListener("change", fill);
  document.getElementById("comparisons").addEventListener("toggle", fillComparisons);
  MATRICES.tables.forEach(listen);
  fill();
}

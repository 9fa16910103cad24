"use strict";
// Sorting: a click on a heading, or Enter and Space, which a button takes by itself.
const told = document.getElementById("told");
const collator = new Intl.Collator("en", { numeric: true });
function place(row, column) {
  const value = row.cells[column].dataset.v;
  return value === undefined || value === "nan" ? null : value;
}
function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? collator.compare(a, b) : x - y;
}
function sort(table, heading) {
  const body = table.tBodies[0], column = heading.cellIndex;
  const now = heading.getAttribute("aria-sort");
  const first = "falls" in heading.dataset ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = now === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [place(row, column), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
  body.append(...rows.map(([, row]) => row));
  for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", order);
  told.textContent = `${table.caption.textContent}: sorted by ${heading.textContent}, ${order}`;
}
for (const button of document.querySelectorAll("table.sorts thead button")) {
  button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
}

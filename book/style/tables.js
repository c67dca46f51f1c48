// On a phone, a table of prose is read as a list: each cell under the name of its column (book.css);
// names of code in tables break at their dots.
const TABLES = ".bd-article :is(table.table, .cell_output > .output table):not(.ccl-widget table)";

document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(".bd-article table code .pre")) {
    const parts = code.textContent.split(/(?<=[._/])(?=[a-z])/i); // where a long name may break
    code.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
  for (const table of document.querySelectorAll(TABLES)) {
    const names = [...table.tHead?.rows[0].cells ?? []].map((each) => each.textContent.trim());
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const long = rows.some(({ cells }) => [...cells].some((each) => each.textContent.length > 40));
    if (names.length < 3 || !long) continue;
    table.classList.add("ccl-listed");
    for (const { cells } of rows) {
      [...cells].forEach((each, k) => {
        each.dataset.name = names[k];
        each.classList.toggle("ccl-short", k > 0 && each.textContent.trim().length < 24);
      });
    }
  }
});

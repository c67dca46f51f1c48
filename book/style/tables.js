// On a phone, a table of prose is read as a list: each cell under the name of its column (book.css).
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table.table")) {
    const names = [...table.querySelectorAll("thead th")].map((each) => each.textContent.trim());
    const cells = [...table.querySelectorAll("tbody td")];
    if (names.length < 3 || !cells.some((each) => each.textContent.length > 60)) continue;
    table.classList.add("ccl-listed");
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((each, k) => { each.dataset.name = names[k]; });
    }
  }
});

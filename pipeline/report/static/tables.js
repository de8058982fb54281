// The headings of a table of class "sortable" become buttons that sort it, and the field whose data-filter is the
// table's id shows only the rows that hold its text.
{
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value || NaN) : cell.textContent.trim().toLowerCase();
  };

  const compare = (one, other) => {
    if (typeof one === "string") return one.localeCompare(other);
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
    return one - other;
  };

  const sort = (table, column, descending) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    // What is not known stays at the end either way.
    const known = rows.filter(([key]) => !Number.isNaN(key)), unknown = rows.filter(([key]) => Number.isNaN(key));
    known.sort(([one], [other]) => (descending ? compare(other, one) : compare(one, other)));
    body.append(...[...known, ...unknown].map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const first = "descending" in heading.dataset ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = heading.getAttribute("aria-sort") === first ? other : first;
        headings.forEach((each) => each.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", order);
        sort(table, column, order === "descending");
      });
    });
  }

  for (const field of document.querySelectorAll("input[data-filter]")) {
    const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
    const status = document.getElementById(`${field.dataset.filter}-shown`);
    const filter = () => {
      const text = field.value.trim().toLowerCase();
      for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
      const shown = rows.filter((row) => !row.hidden).length;
      status.textContent = text ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    };
    field.addEventListener("input", filter);
    filter();
    field.closest(".controls").hidden = false;
  }
}

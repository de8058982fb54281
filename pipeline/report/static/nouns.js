// The list of nouns: find, sort, and show the pairs of one.
"use strict";
{
  const nouns = JSON.parse(document.getElementById("noun-data").textContent);
  const element = (id) => document.getElementById(id);
  const most = 50;
  const collator = new Intl.Collator("en");

  function update() {
    const text = element("noun-search").value.trim().toLowerCase();
    const column = Number(element("noun-sort").value);
    const direction = Number(element("noun-direction").value);
    const found = nouns.filter(([noun]) => noun.includes(text));
    found.sort((a, b) => (a[column] === null) - (b[column] === null) ||
      direction * (column ? a[column] - b[column] : collator.compare(b[0], a[0])));
    element("noun-rows").replaceChildren(...found.slice(0, most).map(row));
    const cut = found.length > most ? `, ${most} of them shown` : "";
    element("noun-status").textContent = `${found.length.toLocaleString("en")} nouns${cut}`;
  }

  function row([noun, ...numbers]) {
    const line = document.createElement("tr");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = noun;
    button.addEventListener("click", () => globalThis.showPairs({ noun: `"${noun}"` }));
    line.insertCell().append(button);
    for (const [column, value] of numbers.entries()) {
      const cell = line.insertCell();
      cell.className = "number";
      cell.textContent = value === null ? "–" : column ? value.toFixed(3) : value.toLocaleString("en");
    }
    return line;
  }

  if (nouns.length) {
    element("noun-list").hidden = false;
    for (const id of ["noun-search", "noun-sort", "noun-direction"]) element(id).addEventListener("input", update);
    update();
  }
}

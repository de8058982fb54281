// Cards in pages: only those of one page are in the document.
"use strict";
globalThis.makePager = (card) => {
  const element = (id) => document.getElementById(id);
  let shown = [];
  let page = 0;
  let note = "";

  function draw() {
    const size = Number(element("per-page").value);
    const pages = Math.max(1, Math.ceil(shown.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const here = shown.slice(page * size, (page + 1) * size);
    element("cards").replaceChildren(...here.map(card));
    const range = here.length ? `${page * size + 1}–${page * size + here.length} of ` : "";
    element("status").textContent =
      (shown.length ? `${range}${shown.length.toLocaleString("en")} pairs` : "No pair fits") + note;
    element("page").value = page + 1;
    element("page").max = pages;
    element("pages").textContent = pages.toLocaleString("en");
    // Not `disabled`: a button that has the focus would lose it.
    element("previous").setAttribute("aria-disabled", page === 0);
    element("next").setAttribute("aria-disabled", page === pages - 1);
  }

  function turn(to) {
    page = to;
    draw();
  }

  element("per-page").addEventListener("change", draw);
  element("page").addEventListener("change", () => turn(Number(element("page").value) - 1));
  element("previous").addEventListener("click", () => turn(page - 1));
  element("next").addEventListener("click", () => turn(page + 1));
  document.addEventListener("DOMContentLoaded", draw); // pictures may have been on their way
  return {
    // Rows in their order, from the first page on; `note` follows their number.
    show(rows, text = "") {
      [shown, note] = [rows, text];
      turn(0);
    },
  };
};

// Pairs of two datasets side by side: choose and sort.
"use strict";
{
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const element = (id) => document.getElementById(id);
  const collator = new Intl.Collator("en");
  const SVG = "http://www.w3.org/2000/svg";

  const change = (row) => ((row.a?.score ?? null) === null || (row.b?.score ?? null) === null ? null : row.b.score - row.a.score);
  const keys = {
    iou: (row) => row.iou,
    change: (row) => change(row),
    distance: (row) => (change(row) === null ? null : Math.abs(change(row))),
  };

  function update() {
    const group = element("group").value;
    const reason = element("reason").value;
    const text = element("noun").value.trim().toLowerCase();
    const alone = text.length > 2 && text.startsWith('"') && text.endsWith('"');
    const noun = alone ? text.slice(1, -1) : text;
    let shown = rows.filter((row) =>
      row.groups.includes(group) && (!reason || row.reason === reason) &&
      (alone ? row.noun === noun || row.text === noun : row.noun.includes(noun) || row.text.includes(noun)));
    const column = element("sort").value;
    const direction = Number(element("direction").value);
    if (column === "noun") {
      shown = shown.toSorted((a, b) => direction * collator.compare(b.text, a.text));
    } else if (column) {
      const of = keys[column];
      // What has no value comes last in either order.
      shown = shown.toSorted((a, b) => (of(a) === null) - (of(b) === null) || direction * (of(a) - of(b)));
    }
    pager.show(shown);
  }

  const number = (value, digits) =>
    value === null ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  function card(row) {
    const item = element("card").content.cloneNode(true).firstElementChild;
    const part = (name) => item.querySelector(`[data-of="${name}"]`);
    part("noun").textContent = row.text;
    part("category").textContent = row.category;
    for (const side of ["a", "b"]) {
      const url = row[side]?.picture ? globalThis.pictureUrl("pictures", row[side].picture, "outlined") : null;
      const image = part(`picture-${side}`);
      if (url) image.src = url;
      image.hidden = !url;
      image.alt = `Region of ${side.toUpperCase()} for ${row.text}, outlined`;
      const absent = part(`absent-${side}`);
      absent.hidden = Boolean(row[side]?.picture);
      absent.textContent = row[side] ? "no picture" : `no such pair in ${side.toUpperCase()}`;
      part(`score-${side}`).textContent = row[side] ? number(row[side].score, 3) : "–";
    }
    part("iou").textContent = number(row.iou, 2);
    part("change").textContent = number(change(row), 3);
    const where = part("where");
    const known = row.b?.box ? row.b : row.a?.box ? row.a : null;
    where.hidden = !known;
    if (known) where.replaceChildren(places(row, known.proportion));
    captions(item, row);
    const why = [row.why, row.detail].filter(Boolean).join(": ");
    part("why").textContent = why;
    part("why").hidden = !why;
    part("key").textContent = [row.a && `A ${row.a.key}`, row.b && `B ${row.b.key}`, `image ${row.image}`]
      .filter(Boolean).join(" · ");
    return item;
  }

  // Both boxes in the frame of the image.
  function places(row, proportion) {
    const svg = document.createElementNS(SVG, "svg");
    const [width, height] = proportion > 1 ? [100, 100 / proportion] : [100 * proportion, 100];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Where the regions lie in the image");
    for (const side of ["frame", "a", "b"]) {
      const [x0, y0, x1, y1] = side === "frame" ? [0, 0, 1, 1] : row[side]?.box ?? [0, 0, 0, 0];
      if (x1 <= x0 || y1 <= y0) continue;
      const rect = document.createElementNS(SVG, "rect");
      rect.setAttribute("class", `place-${side}`);
      for (const [name, value] of [["x", x0 * width], ["y", y0 * height], ["width", (x1 - x0) * width], ["height", (y1 - y0) * height]]) {
        rect.setAttribute(name, value);
      }
      svg.append(rect);
    }
    return svg;
  }

  function captions(item, row) {
    const told = [];
    for (const side of ["a", "b"]) {
      const caption = row[side]?.caption;
      const line = item.querySelector(`[data-of="caption-${side}"]`);
      line.hidden = !caption || told.includes(JSON.stringify(caption));
      if (!caption) continue;
      told.push(JSON.stringify(caption));
      const [before, surface, after] = caption;
      const mark = document.createElement("mark");
      mark.textContent = surface;
      line.replaceChildren(before, mark, after);
    }
  }

  const pager = globalThis.makePager(card);

  for (const id of ["group", "reason", "sort", "direction"]) element(id).addEventListener("change", update);
  element("noun").addEventListener("input", update);
  element("reset").addEventListener("click", () => {
    for (const id of ["reason", "noun", "sort"]) element(id).value = "";
    element("group").value = element("group").options[0].value;
    element("direction").value = "-1";
    update();
  });

  if (rows.length) {
    element("gallery").hidden = false;
    update();
  }
}

// The sampled pairs: choose and sort.
"use strict";
{
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const element = (id) => document.getElementById(id);
  const ranged = ["score", "noun_margin", "mask_margin", "area"];
  const collator = new Intl.Collator("en");

  function wanted() {
    const group = element("group").value;
    const text = element("noun").value.trim().toLowerCase();
    const alone = text.length > 2 && text.startsWith('"') && text.endsWith('"');
    const noun = alone ? text.slice(1, -1) : text;
    const limits = ranged.map((column) => {
      const [from, to] = ["from", "to"].map((end) => element(`${column}-${end}`));
      return [column, from.value === "" ? -Infinity : Number(from.value), to.value === "" ? Infinity : Number(to.value)];
    }).filter(([, from, to]) => from !== -Infinity || to !== Infinity);
    const fits = (row) =>
      (alone ? row.noun === noun || row.text === noun : row.noun.includes(noun) || row.text.includes(noun)) &&
      limits.every(([column, from, to]) => row[column] !== null && row[column] >= from && row[column] <= to);
    const added = globalThis.additions.wanted();
    return [(row) => row.groups.includes(group) && fits(row) && added(row), (row) => fits(row) && added(row)];
  }

  function sorted(found) {
    const column = element("sort").value;
    const direction = Number(element("direction").value);
    if (!column) return found;
    const compare = column === "noun"
      ? (a, b) => direction * collator.compare(b.text, a.text)
      : (a, b) => direction * (a[column] - b[column]);
    // What has no value comes last in either order.
    const missing = (row) => (row[column] ?? null) === null;
    return found.toSorted((a, b) => missing(a) - missing(b) || compare(a, b));
  }

  function update() {
    const [inGroup, fits] = wanted();
    const shown = sorted(rows.filter(inGroup));
    const elsewhere = element("group").value === "all" ? 0 : rows.filter(fits).length;
    pager.show(shown, elsewhere > shown.length ? `; ${elsewhere.toLocaleString("en")} among all that are shown` : "");
  }

  const number = (value, digits) =>
    value === null ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

  function card(row) {
    const item = element("card").content.cloneNode(true).firstElementChild;
    const part = (name) => item.querySelector(`[data-of="${name}"]`);
    for (const name of ["outlined", "blanked"]) {
      const url = pictureUrl("pictures", row.picture, name);
      if (url) part(name).src = url;
    }
    part("outlined").alt = `Region with its mask outlined, chosen for ${row.text}`;
    part("blanked").alt = "The same, blanked outside the mask";
    part("noun").textContent = row.text;
    part("right").hidden = !row.groups.includes("right");
    part("wrong").hidden = !row.groups.includes("wrong");
    [part("before").textContent, part("surface").textContent, part("after").textContent] = row.caption;
    for (const name of ["score", "noun_margin", "mask_margin"]) part(name).textContent = number(row[name], 3);
    part("area").textContent = `${number(row.area, 0)} px`;
    part("area_share").textContent = `${number(100 * row.area_share, 1)} %`;
    part("proposal").textContent = `no. ${number(row.proposal, 0)}`;
    const others = row.others.map(([noun, score]) => `${noun} (${number(score, 3)})`);
    part("others").textContent = others.length ? `Same mask: ${others.join(", ")}` : "";
    part("others").hidden = !others.length;
    globalThis.additions.describe(row, part);
    part("key").textContent = `${row.key} · image ${row.image}`;
    part("key").title = row.uri;
    return item;
  }

  const typed = ["noun", ...ranged.flatMap((column) => [`${column}-from`, `${column}-to`]), ...globalThis.additions.ids];
  const pager = globalThis.makePager(card);

  function set(values) {
    for (const id of ["sort", ...typed]) element(id).value = values[id] ?? "";
    element("direction").value = values.direction ?? "-1";
    if (ranged.some((column) => values[`${column}-from`] ?? values[`${column}-to`])) element("ranges").open = true;
    if (values.group) element("group").value = values.group;
    update();
  }

  // Other parts of the page show pairs here.
  globalThis.showPairs = (values) => {
    set({ group: "all", ...values });
    element("pairs").scrollIntoView();
    element("group").focus({ preventScroll: true });
  };

  for (const id of ["group", "sort", "direction"]) element(id).addEventListener("change", update);
  for (const id of typed) element(id).addEventListener("input", update);
  element("group").addEventListener("change", () => {
    // Pairs of one mask belong side by side.
    if (element("group").value === "shared" && !element("sort").value) set({ group: "shared", sort: "mask" });
  });
  element("reset").addEventListener("click", () => set({ group: element("group").options[0].value }));

  if (rows.length) {
    element("gallery").hidden = false;
    element("ranges").open = matchMedia("(min-width: 45rem)").matches;
    update();
  }
}

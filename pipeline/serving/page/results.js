// The legend, the regions and the times of an answer, as elements.

import { recolour, stress } from "./picture.js";

const ROWS = 12;
const get = (id) => document.getElementById(id);

export const percent = (share) => (share > 0 && share < 0.005 ? "<1\u00a0%" : `${Math.round(100 * share)}\u00a0%`);
const seconds = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(1)}\u00a0s`;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A button that stays pressed; pressing it releases the others of its group. */
function toggle(group, button, change) {
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    for (const other of group.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(pressed));
    change(pressed);
  });
}

/** The classes, those with the most pixels first; pressing one shows it alone. */
export function writeLegend(answer) {
  const list = get("legend");
  list.replaceChildren();
  for (const entry of answer.legend.toSorted((a, b) => b.area - a.area)) {
    const button = element("button");
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = entry.colour;
    button.append(swatch, element("span", entry.names.join(" / ")), element("span", percent(entry.share), "number"));
    button.disabled = entry.area === 0;
    toggle(list, button, (pressed) => recolour(answer, pressed ? entry.index : null));
    const item = element("li");
    item.append(button);
    list.append(item);
  }
  if (answer.unlabelled > 0) {
    const item = element("li");
    item.append(element("span", undefined, "swatch none"), `unlabelled ${percent(answer.unlabelled)}`);
    list.append(item);
  }
}

/** The mined regions that a region's names rest on. Nouns and keys come from captions and data sets: text, never markup. */
function mined(region) {
  const details = element("details", undefined, "mined");
  const count = region.mined.length;
  details.append(element("summary", `${count} mined ${count === 1 ? "region" : "regions"} most like it`));
  const list = element("ul");
  for (const { noun, similarity, dataset, key, thumbnail } of region.mined) {
    const item = element("li");
    if (thumbnail?.startsWith("data:image/jpeg;base64,")) {
      const picture = element("img");
      picture.src = thumbnail;
      picture.alt = `Mined region of ${noun}`;
      item.append(picture);
    } else {
      item.append(element("span", "no picture", "absent muted"));
    }
    const text = element("span");
    text.append(
      element("strong", noun),
      element("span", ` ${similarity.toFixed(2)}`, "number"),
      element("span", `${key} of ${dataset}`, "muted source"),
    );
    item.append(text);
    list.append(item);
  }
  details.append(list);
  return details;
}

/** The regions, a few at first. */
export function writeRegions(answer) {
  const body = get("regions");
  body.replaceChildren();
  const count = answer.regions.length;
  get("regions-count").textContent = `${count} ${count === 1 ? "region" : "regions"}`;
  let pinned = null;
  const add = (until) => {
    for (let index = body.rows.length; index < Math.min(until, count); index++) {
      const region = answer.regions[index];
      const row = element("tr");
      const button = element("button", `Show ${index + 1}`);
      toggle(body, button, (pressed) => {
        pinned = pressed ? region : null;
        stress(answer, pinned);
      });
      const first = element("td");
      first.append(button);
      const names = element("td");
      const list = element("ol");
      for (const { name, score, background } of region.names) {
        list.append(element("li", `${name}${background ? " (background)" : ""} ${percent(score)}`));
      }
      names.append(list);
      if (region.mined.length) names.append(mined(region));
      row.append(first, element("td", percent(region.share), "number"), names);
      row.addEventListener("pointerenter", () => stress(answer, region));
      row.addEventListener("pointerleave", () => stress(answer, pinned));
      body.append(row);
    }
    get("more").hidden = body.rows.length >= count;
  };
  get("more").textContent = `Show all ${count} regions`;
  get("more").onclick = () => add(count);
  add(ROWS);
}

/** Where the time went; `trip` is what passed here, in seconds. */
export function writeTiming(timing, trip) {
  const others = timing.batch === 1 ? "this picture alone" : `${timing.batch} pictures together`;
  const rows = [
    ["In all", trip, "from here and back"],
    ["On the server", timing.total, ""],
    ["Models", timing.models, others],
    ["Waiting", timing.wait, "for other requests"],
    ["Decoding and drawing", timing.decode + timing.draw, ""],
  ];
  get("timing").replaceChildren(
    ...rows.map(([title, value, note]) => {
      const box = element("div");
      box.append(element("dt", title), element("dd", seconds(value), "value"));
      if (note) box.append(element("dd", note, "note"));
      return box;
    }),
  );
}

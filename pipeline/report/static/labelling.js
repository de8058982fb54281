// Labelling: one pair at a time, by keys or buttons. What was answered is in label_store.js.
"use strict";
{
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("label-data").textContent);
  const { pairs, sample } = data;
  const AHEAD = 4;
  const ENOUGH = 10; // labels, for an estimate
  const KEYS = {
    ArrowRight: "right", r: "right", ArrowLeft: "wrong", w: "wrong", " ": "unclear", u: "unclear",
    Backspace: "back", z: "back", n: "next", p: "previous",
  };
  const count = (value) => value.toLocaleString("en");
  const percent = (value) => `${(100 * value).toFixed(0)}\u00a0%`;

  const store = openLabels(data, () => {
    progress();
    if (filter() === "open" && store.given[list[place]]) move(1, true); // labelled in another window
    else show();
  });
  const contradicted = new Set();
  const done = store.given.flatMap((before, index) => (before ? [index] : [])); // to go back through, newest last
  let list = []; // indices that are shown, fixed when they were chosen
  let place = 0;

  const fits = {
    open: (index) => !store.given[index],
    labelled: (index) => store.given[index],
    right: (index) => store.given[index] === "right",
    wrong: (index) => store.given[index] === "wrong",
    unclear: (index) => store.given[index] === "unclear",
    contradicted: (index) => contradicted.has(index),
  };
  const filter = () => element("label-filter").value;

  function choose(name, first) {
    element("label-filter").value = name;
    list = [...pairs.keys()].filter((index) => index === first || fits[name](index));
    place = Math.max(0, list.indexOf(first));
    show();
  }

  // Pictures are decoded before their turn, so that the next pair is there at once.
  const prepared = new Map();
  function prepare(index) {
    if (!prepared.has(index)) {
      const images = ["outlined", "blanked"].map((part) => {
        const image = new Image();
        image.alt = part === "outlined" ? "Region with its mask outlined" : "The same, blanked outside the mask";
        image.src = pictureUrl("label-pictures", pairs[index].picture, part);
        image.decode().catch(() => {}); // an image that cannot be decoded shows its text
        return image;
      });
      prepared.set(index, images);
    }
    return prepared.get(index);
  }

  function show() {
    const index = list[place];
    const pair = pairs[index];
    element("label-pair").hidden = !pair;
    element("label-none").hidden = Boolean(pair);
    element("label-none").textContent =
      filter() === "open" ? "All pairs of the sample are labelled. Save the labels below." : "No pair has this answer.";
    element("label-place").textContent = list.length ? `${count(place + 1)} of ${count(list.length)}` : "";
    for (const name of ["right", "wrong", "unclear"]) {
      element(`label-${name}`).setAttribute("aria-pressed", Boolean(pair) && store.given[index] === name);
    }
    if (!pair) return;
    element("label-noun").textContent = pair.text;
    const [before, surface, after] = element("label-caption").children;
    [before.textContent, surface.textContent, after.textContent] = pair.caption;
    element("label-caption").scrollTop = 0;
    const near = list.slice(place, place + 1 + AHEAD);
    for (const old of prepared.keys()) if (!near.includes(old)) prepared.delete(old);
    const images = near.map(prepare)[0];
    for (const [part, image] of images.entries()) element("label-pictures").children[part].replaceChildren(image);
  }

  function progress() {
    const counts = sample.strata.map(() => ({ right: 0, wrong: 0, unclear: 0 }));
    const all = { open: 0, labelled: 0, right: 0, wrong: 0, unclear: 0, contradicted: contradicted.size };
    for (const [index, answer] of store.given.entries()) {
      all[answer ?? "open"] += 1;
      all.labelled += answer ? 1 : 0;
      if (answer) counts[pairs[index].stratum][answer] += 1;
    }
    for (const option of element("label-filter").options) {
      option.textContent = `${option.dataset.name} (${count(all[option.value])})`;
    }
    element("label-progress").value = all.labelled;
    element("label-count").textContent = `${count(all.labelled)} of ${count(pairs.length)}`;
    element("label-answers").textContent = `${count(all.right)} right, ${count(all.wrong)} wrong, ${count(all.unclear)} unclear`;
    const found = all.right + all.wrong >= ENOUGH ? estimatePrecision(sample.strata, counts) : null;
    element("label-estimate").textContent = found ? percent(found.share) : "–";
    element("label-interval").textContent = found
      ? `roughly ${percent(found.low)} to ${percent(found.high)}` : `after ${ENOUGH} labels`;
    element("label-not-kept").hidden = store.kept;
  }

  function say(...parts) {
    element("label-status").replaceChildren(...parts);
  }

  // A noun within a sentence, whatever its direction of writing.
  function named(index) {
    const noun = document.createElement("bdi");
    noun.textContent = pairs[index].text;
    return noun;
  }

  function answer(name) {
    const index = list[place];
    if (index === undefined) return;
    done.push(index);
    store.set(index, name);
    contradicted.delete(index);
    progress();
    move(1, filter() === "open");
    const next = list[place];
    const then = next === undefined || next === index ? ["That was the last one."] : ["Next: ", named(next), "."];
    say(named(index), `: ${name}. `, ...then);
  }

  // To the next pair of the list; `open`: that has no label yet, going on at the beginning.
  function move(by, open) {
    if (!open) {
      place = Math.min(Math.max(place + by, 0), Math.max(list.length - 1, 0));
    } else {
      const places = [...list.keys()].filter((at) => fits.open(list[at]));
      if (!places.length) list = [];
      place = places.find((at) => at > place) ?? places[0] ?? 0;
    }
    show();
  }

  function back() {
    const index = done.pop();
    if (index === undefined) return say("There is nothing to take back.");
    store.set(index, null);
    progress();
    if (list.includes(index)) {
      place = list.indexOf(index);
      show();
    } else {
      choose("open", index);
    }
    say("Taken back: ", named(index), ".");
  }

  function act(name) {
    if (name === "back") back();
    else if (name === "next") move(1, filter() === "open");
    else if (name === "previous") move(-1, false);
    else answer(name);
  }

  element("label-stage").addEventListener("keydown", (event) => {
    const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!name || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.key === " " && event.target !== element("label-stage")) return; // presses the button that has the focus
    event.preventDefault();
    if (!event.repeat) act(name); // a key that is held down answers once
  });
  for (const button of element("label-stage").querySelectorAll("button")) {
    button.addEventListener("click", () => act(button.value));
  }
  element("label-filter").addEventListener("change", () => choose(filter()));
  element("label-begin").addEventListener("click", () => {
    element("labelling").scrollIntoView();
    element("label-stage").focus({ preventScroll: true });
  });
  globalThis.addEventListener("beforeunload", (event) => {
    if (!store.kept && !store.saved) event.preventDefault();
  });

  globalThis.labelling = { store, say, contradicted, refresh: () => { progress(); choose(filter()); }, choose };
  // The pictures come after the scripts.
  document.addEventListener("DOMContentLoaded", () => {
    element("labelling").hidden = false;
    progress();
    choose("open");
  });
}

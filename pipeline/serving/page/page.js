// Choosing a picture, asking the server, and saving what it answers.

import { colour, composed, labelAt, show, stress } from "./picture.js";
import { percent, writeLegend, writeRegions, writeTiming } from "./results.js";

const get = (id) => document.getElementById(id);
const form = get("form");
let file = null;
let answer = null;
let asking = null; // an AbortController while there is a request

function say(problem) {
  get("problem").textContent = problem;
  get("problem").hidden = !problem;
}

/** Show a file that was chosen, dropped or pasted, without its results. */
async function choose(chosen) {
  asking?.abort();
  file = chosen;
  answer = null;
  say("");
  get("status").textContent = "";
  get("results").hidden = true;
  get("chosen").textContent = `${file.name || "pasted picture"}, ${(file.size / 1e6).toFixed(2)} MB`;
  get("chosen").hidden = false;
  const image = await createImageBitmap(file).catch(() => null);
  if (file !== chosen) return;
  get("figure").hidden = !image;
  get("empty").hidden = Boolean(image);
  get("empty").textContent = "This browser cannot show the file; the server may still read it.";
  get("pointed").textContent = "";
  if (image) {
    get("picture").setAttribute("aria-label", `The picture ${file.name}`);
    show(image, image.width, image.height);
  }
}

async function segment() {
  asking?.abort();
  say("");
  if (!file) return say("Choose a picture first.");
  if (!get("classes").value.trim()) return say("Write the names of what to look for.");
  if (file.size > form.dataset.maxMegabytes * 1e6) {
    return say(`The picture has ${(file.size / 1e6).toFixed(1)} MB; the server takes ${form.dataset.maxMegabytes} MB.`);
  }
  const mine = (asking = new AbortController());
  const started = performance.now();
  const tick = () => (get("status").textContent = `Working, ${Math.floor((performance.now() - started) / 1000)} s`);
  get("status").textContent = "Working";
  const ticking = setInterval(tick, 1000);
  get("cancel").hidden = false;
  form.setAttribute("aria-busy", "true");
  try {
    const found = await ask(mine.signal);
    await present(found, (performance.now() - started) / 1000);
    get("status").textContent = "Done";
  } catch (error) {
    if (asking === mine) get("status").textContent = mine.signal.aborted ? "Cancelled" : "";
    if (!mine.signal.aborted) say(error.message);
  } finally {
    clearInterval(ticking);
    if (asking === mine) {
      asking = null;
      get("cancel").hidden = true;
      form.removeAttribute("aria-busy");
    }
  }
}

/** The server's answer; throws an Error with what it says instead. */
async function ask(signal) {
  const body = new FormData();
  body.append("image", file);
  body.append("classes", get("classes").value);
  let response;
  try {
    response = await fetch("api/segment", { method: "POST", body, signal });
  } catch (error) {
    throw signal.aborted ? error : new Error("The server does not answer.");
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => null);
  throw new Error(problem?.message ?? `The server cannot answer now (${response.status}); try again in a moment.`);
}

async function present(found, trip) {
  const image = await createImageBitmap(file).catch(() => null);
  answer = found;
  get("figure").hidden = get("results").hidden = false;
  get("empty").hidden = true;
  show(image, answer.width, answer.height);
  colour(answer);
  setOpacity();
  writeLegend(answer);
  writeRegions(answer);
  writeTiming(answer.timing, trip);
  const shares = answer.legend.filter((entry) => entry.area).sort((a, b) => b.area - a.area);
  const said = shares.map((entry) => `${entry.names[0]} ${percent(entry.share)}`).join(", ") || "nothing found";
  get("picture").setAttribute("aria-label", `The picture ${file.name}, segmented: ${said}`);
  get("pointed").textContent = image ? "Point at the picture to read the names." : "The browser cannot show this file: colours on grey.";
}

function setOpacity() {
  get("overlay").style.opacity = get("opacity").value / 100;
  get("opacity-value").textContent = `${get("opacity").value}\u00a0%`;
}

function save(blob, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${(file.name || "picture").replace(/\.[^.]*$/, "")}-${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  segment();
});
get("classes").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
get("cancel").addEventListener("click", () => asking?.abort());
get("image").addEventListener("change", (event) => event.target.files[0] && choose(event.target.files[0]));
document.addEventListener("paste", (event) => {
  const pasted = event.clipboardData.files[0];
  if (pasted) choose(pasted);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  get("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || get("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  get("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
});
get("opacity").addEventListener("input", setOpacity);
get("stack").addEventListener("pointermove", (event) => {
  if (!answer) return;
  const label = labelAt(event.clientX, event.clientY);
  get("pointed").textContent = label === null ? "unlabelled" : answer.legend[label].names.join(" / ");
});
get("save-picture").addEventListener("click", async () => save(await composed(get("opacity").value / 100), "segmented.png"));
get("save-labels").addEventListener("click", () =>
  save(new Blob([Uint8Array.from(atob(answer.labels), (byte) => byte.charCodeAt(0))], { type: "image/png" }), "labels.png"),
);
get("save-json").addEventListener("click", () =>
  save(new Blob([JSON.stringify(answer)], { type: "application/json" }), "segmented.json"),
);
document.addEventListener("keydown", (event) => event.key === "Escape" && answer && stress(answer, null));

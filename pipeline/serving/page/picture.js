// The picture, the colours of the classes above it, and a region that stands out.

import { fill, isEdge, resample } from "./masks.js";

const NONE = 65535;
const SIDES = [1280, 1600]; // the longest side of what is drawn, pixels
const SHADE = [0, 0, 0, 150];
const OUTLINE = [255, 255, 255, 255];

const canvases = ["picture", "overlay", "highlight"].map((name) => document.getElementById(name));
const [picture, overlay, highlight] = canvases;
let labels = null; // of every drawn pixel

/** Show a picture (anything that a canvas can draw), or grey if the browser cannot read it. */
export function show(image, width, height) {
  const longest = Math.max(width, height);
  const scale = Math.min(Math.max(longest, SIDES[0]), SIDES[1]) / longest;
  labels = null;
  for (const canvas of canvases) {
    canvas.width = Math.max(1, Math.round(width * scale)); // clears it, too
    canvas.height = Math.max(1, Math.round(height * scale));
  }
  const context = picture.getContext("2d");
  if (image) context.drawImage(image, 0, 0, picture.width, picture.height);
  else {
    context.fillStyle = "#808080";
    context.fillRect(0, 0, picture.width, picture.height);
  }
}

/** Colour the classes of an answer. */
export function colour(answer) {
  const { width, height } = answer;
  const all = new Uint16Array(width * height).fill(NONE);
  for (const entry of answer.legend) fill(all, entry.mask, entry.index);
  labels = resample(all, height, width, overlay);
  recolour(answer, null);
}

/** Colour all classes, or only that with the index `only`. */
export function recolour(answer, only) {
  const colours = answer.legend.map((entry) => [1, 3, 5].map((at) => parseInt(entry.colour.slice(at, at + 2), 16)));
  put(overlay, (pixel) => {
    const label = labels[pixel];
    if (label === NONE || (only !== null && label !== only)) return null;
    return isEdge(labels, overlay.width, pixel) ? OUTLINE : [...colours[label], 255];
  });
}

/** Darken everything but a region; all is as before without one. */
export function stress(answer, region) {
  if (!region) {
    highlight.getContext("2d").clearRect(0, 0, highlight.width, highlight.height);
    return;
  }
  const inside = fill(new Uint8Array(answer.width * answer.height), region.mask, 1);
  const drawn = resample(inside, answer.height, answer.width, highlight);
  put(highlight, (pixel) => {
    if (isEdge(drawn, highlight.width, pixel)) return OUTLINE;
    return drawn[pixel] ? null : SHADE;
  });
}

/** The index of the class at a place of the screen; null if there is none. */
export function labelAt(clientX, clientY) {
  if (!labels) return null;
  const box = picture.getBoundingClientRect();
  const x = Math.floor(((clientX - box.left) / box.width) * picture.width);
  const y = Math.floor(((clientY - box.top) / box.height) * picture.height);
  if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return null;
  const label = labels[y * picture.width + x];
  return label === NONE ? null : label;
}

/** The picture with its colours as one PNG. */
export function composed(opacity) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(overlay, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function put(canvas, colourAt) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let pixel = 0; pixel < canvas.width * canvas.height; pixel++) {
    const colour = colourAt(pixel);
    if (colour) image.data.set(colour, 4 * pixel);
  }
  context.putImageData(image, 0, 0);
}

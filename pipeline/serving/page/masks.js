// Masks as COCO writes them: run lengths of zeros, ones, zeros, … down the columns.

/** The run lengths of COCO's compressed code: 5 bits a character (+48), bit 6 where more follow, signed, and from the
 *  fourth on as the difference to the one two before. */
export function runLengths(counts) {
  const runs = [];
  for (let index = 0; index < counts.length; ) {
    let value = 0, shift = 0, group;
    do {
      group = counts.charCodeAt(index++) - 48;
      value |= (group & 0x1f) << shift;
      shift += 5;
    } while (group & 0x20);
    if (group & 0x10 && shift < 32) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/** Write `value` where a mask is; `pixels` are in columns, as the mask. */
export function fill(pixels, mask, value) {
  let begin = 0;
  runLengths(mask.counts).forEach((length, number) => {
    if (number % 2) pixels.fill(value, begin, begin + length);
    begin += length;
  });
  return pixels;
}

/** `pixels` in columns (height × width) at the size of a canvas, in rows, by the nearest. */
export function resample(pixels, height, width, canvas) {
  const result = new pixels.constructor(canvas.width * canvas.height);
  const rows = Array.from({ length: canvas.height }, (_, y) => Math.floor(((y + 0.5) * height) / canvas.height));
  for (let x = 0; x < canvas.width; x++) {
    const column = Math.floor(((x + 0.5) * width) / canvas.width) * height;
    for (let y = 0; y < canvas.height; y++) result[y * canvas.width + x] = pixels[column + rows[y]];
  }
  return result;
}

/** Whether the pixel to the right or below has another value. */
export function isEdge(pixels, width, pixel) {
  const below = pixel + width;
  return (
    ((pixel + 1) % width !== 0 && pixels[pixel] !== pixels[pixel + 1]) ||
    (below < pixels.length && pixels[pixel] !== pixels[below])
  );
}

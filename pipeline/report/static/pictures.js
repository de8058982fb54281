// Pictures of pairs: they lie in long texts of base64 at the end of the page.
"use strict";
{
  const blocks = new Map();

  // URL of a picture; null while its text is still on its way. `place`: text, begin of the outlined region, begin of
  // the blanked one, end. A text is long, so it is taken out of the document once.
  globalThis.pictureUrl = (kind, [block, start, middle, end], part) => {
    const id = `${kind}-${block}`;
    if (!blocks.has(id)) {
      const script = document.getElementById(id);
      if (!script || (document.readyState === "loading" && !script.nextElementSibling)) return null;
      blocks.set(id, script.textContent);
    }
    const [from, to] = part === "outlined" ? [start, middle] : [middle, end];
    return `data:image/webp;base64,${blocks.get(id).slice(from, to)}`;
  };
}

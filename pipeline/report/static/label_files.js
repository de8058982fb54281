// Saving labels, and going on from saved ones.
"use strict";
{
  const element = (id) => document.getElementById(id);
  const { store, say, contradicted, refresh, choose } = globalThis.labelling;
  const count = (value) => value.toLocaleString("en");

  function save() {
    const url = URL.createObjectURL(new Blob([store.text()], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "labels.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // ms; the download has begun by then
    store.markSaved();
    say(`Saved as labels.json: ${count(store.given.filter(Boolean).length)} labels.`);
  }

  async function copy() {
    const text = store.text();
    element("label-text").value = text;
    try {
      await navigator.clipboard.writeText(text);
      store.markSaved();
      say("The labels are in the clipboard.");
    } catch { // not allowed here
      element("label-text").closest("details").open = true;
      element("label-text").select();
      say("The browser does not let the page write to the clipboard: copy the text below.");
    }
  }

  function take(text) {
    try {
      const { added, same, contradicted: others } = store.merge(store.read(text));
      contradicted.clear();
      for (const index of others) contradicted.add(index);
      refresh();
      const [option] = [...element("label-filter").options].filter(({ value }) => value === "contradicted");
      option.hidden = option.disabled = !contradicted.size;
      if (others.length) choose("contradicted");
      say(`${count(added)} labels added, ${count(same)} were here already` + (others.length
        ? `; ${count(others.length)} contradict what was answered here, which stays: they are shown, to be looked at again.` : "."));
    } catch (error) {
      say(`${error.message} Nothing was taken over.`);
    }
  }

  element("label-save").addEventListener("click", save);
  element("label-copy").addEventListener("click", copy);
  element("label-text").closest("details").addEventListener("toggle", () => { element("label-text").value = store.text(); });
  element("label-file").addEventListener("change", async () => {
    const [file] = element("label-file").files;
    if (!file) return;
    if (file.size > 2 ** 26) say("The file is too large to hold labels. Nothing was taken over.");
    else take(await file.text());
    element("label-file").value = ""; // so that the same one can be chosen again
  });
}

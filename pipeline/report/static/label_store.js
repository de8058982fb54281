// The labels of a sample: kept by the browser, one entry a pair, so that pages that are open twice do not overwrite
// one another; written as JSON and read from it (pipeline/quality/labels.py).
"use strict";
{
  const ANSWERS = ["right", "wrong", "unclear"];

  // `changed` is called when another page has changed labels.
  globalThis.openLabels = ({ id, dataset, sample, pairs }, changed) => {
    const short = (digest) => digest.slice(0, 16);
    const prefix = `ovseg-labels ${short(dataset.fingerprint)} ${short(dataset.manifests_sha256)} ${sample.seed} ${id} `;
    const indices = new Map(pairs.map(({ key }, index) => [key, index]));
    const given = pairs.map(() => null);
    const store = { given, kept: true, saved: true, set, merge, read, text, markSaved };

    function load() {
      for (const [index, { key }] of pairs.entries()) {
        const answer = localStorage.getItem(prefix + key);
        if (ANSWERS.includes(answer)) given[index] = answer;
      }
    }

    function set(index, answer) {
      given[index] = answer;
      store.saved = false;
      try {
        if (answer) localStorage.setItem(prefix + pairs[index].key, answer);
        else localStorage.removeItem(prefix + pairs[index].key);
      } catch {
        store.kept = false; // full, or forbidden
      }
    }

    function markSaved() {
      store.saved = true;
    }

    function text() {
      const labels = pairs.map(({ key, noun, stratum }, index) => ({ key, noun, stratum, answer: given[index] }))
        .filter(({ answer }) => answer);
      const lines = labels.map((label) => `\n${JSON.stringify(label)}`);
      const head = JSON.stringify({ format: "ovseg-labels", version: 1, dataset, sample });
      return `${head.slice(0, -1)},"labels":[${lines}\n]}\n`;
    }

    function sameSample(other) {
      return other?.seed === sample.seed && Array.isArray(other.strata) && other.strata.length === sample.strata.length &&
        sample.strata.every((own, index) => Object.keys(own).every((name) => other.strata[index]?.[name] === own[name]));
    }

    // The answers in a text, by index. Throws an Error that says what is wrong with it.
    function read(content) {
      let found;
      try {
        found = JSON.parse(content);
      } catch {
        throw new Error("The file holds no JSON.");
      }
      if (found?.format !== "ovseg-labels") throw new Error("The file holds no labels.");
      if (found.version !== 1) throw new Error("The labels are of another version of the program.");
      if (found.dataset?.fingerprint !== dataset.fingerprint) throw new Error("The labels are of another dataset.");
      if (found.dataset.manifests_sha256 !== dataset.manifests_sha256) {
        throw new Error("The dataset has changed since the labels were given.");
      }
      if (!Array.isArray(found.labels)) throw new Error("The file has no list of labels.");
      const otherSample = new Error("The labels are of another sample of this dataset.");
      if (!sameSample(found.sample)) throw otherSample;
      const answers = new Map();
      for (const label of found.labels) {
        const index = indices.get(label?.key);
        const pair = pairs[index];
        if (!pair) throw otherSample;
        if (label.noun !== pair.noun || label.stratum !== pair.stratum || !ANSWERS.includes(label.answer)) {
          throw new Error(`The label of ${pair.key} was changed by hand.`);
        }
        if ((answers.get(index) ?? label.answer) !== label.answer) {
          throw new Error(`The file answers ${pair.key} twice, and differently.`);
        }
        answers.set(index, label.answer);
      }
      return answers;
    }

    // Take answers over where there is none yet; where there is another, it stays. Returns what came of it.
    function merge(answers) {
      const came = { added: 0, same: 0, contradicted: [] };
      for (const [index, answer] of answers) {
        if (given[index] === answer) came.same += 1;
        else if (given[index]) came.contradicted.push(index);
        else {
          set(index, answer);
          came.added += 1;
        }
      }
      return came;
    }

    try {
      load();
    } catch {
      store.kept = false;
    }
    globalThis.addEventListener("storage", ({ key, newValue }) => {
      const index = key?.startsWith(prefix) ? indices.get(key.slice(prefix.length)) : undefined;
      if (index === undefined) return;
      given[index] = ANSWERS.includes(newValue) ? newValue : null;
      store.saved = false;
      changed();
    });
    return store;
  };
}

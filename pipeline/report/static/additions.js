// What options of mining add to pairs: attributes, hard negatives, who proposed the mask and who agrees; and the filters
// for them, of which a page has those that its pairs can be chosen by.
"use strict";
{
  const { backends, prompt: prompted, verifiers } = JSON.parse(document.getElementById("offered").textContent);
  const element = (id) => document.getElementById(id);

  // A verifier's opinion: score, candidates of the noun and nouns of the image that fit better; null if it has none.
  const agrees = ([, masks, nouns]) => masks === 0 && nouns === 0;
  const verdicts = {
    agree: (opinions) => opinions.length > 0 && opinions.every(agrees),
    disagree: (opinions) => !opinions.every(agrees),
  };

  const tests = {
    attribute: (text) => (row) => (row.attributes ?? []).some((word) => word.toLowerCase().includes(text)),
    negatives: (value) => (row) => Boolean(row.negatives) === (value === "with"),
    backend: (index) => (row) => row.backend === backends[index],
    verdict: (value) => {
      const [verdict, verifier] = value.split(" ");
      const asked = (row) => (verifier ? [row.opinions[verifier]] : row.opinions);
      return (row) => verdicts[verdict](asked(row).filter((opinion) => opinion !== null));
    },
  };
  const ids = Object.keys(tests).filter(element);

  function wanted() {
    const chosen = ids.map((id) => [id, element(id).value.trim().toLowerCase()]).filter(([, value]) => value !== "");
    const asked = chosen.map(([id, value]) => tests[id](value));
    return (row) => asked.every((fits) => fits(row));
  }

  // Each text of the data by itself, so that one that runs from right to left leaves its neighbours where they are.
  function isolated(text) {
    const one = document.createElement("bdi");
    one.textContent = text;
    return one;
  }

  const listed = (words) => words.flatMap((word, index) => [...(index ? [", "] : []), isolated(word)]);

  function proposer({ backend, prompt, prompt_score: score }) {
    const by = backend ? ["Mask of ", isolated(backend)] : ["Mask"];
    if (!prompt) return [...by, ...(prompted ? [", not asked for by a name"] : [])];
    return [...by, ", asked for by “", isolated(prompt), "”", ...(score === null ? [] : [`: ${number(score)}`])];
  }

  const number = (value) => (value === null ? "–" : value.toFixed(3));
  const better = (count) => (count ? `${count} better` : "best");

  function opinion(name, [score, masks, nouns], verdict) {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    line.append(head);
    for (const text of [score, masks, nouns]) line.insertCell().textContent = text;
    const cell = line.insertCell();
    cell.textContent = verdict;
    cell.className = { agrees: "good", disagrees: "bad" }[verdict] ?? "";
    return line;
  }

  function opinions(row) {
    const own = [number(row.score), "best", row.noun_margin < 0 ? "not best" : "best"];
    const lines = verifiers.map((name, index) => {
      const said = row.opinions[index];
      if (said === null) return opinion(name, ["–", "–", "–"], "no opinion");
      const [score, masks, nouns] = said;
      return opinion(name, [number(score), better(masks), better(nouns)], agrees(said) ? "agrees" : "disagrees");
    });
    return [opinion("CLIP", own, ""), ...lines];
  }

  // Fills the parts of a card.
  function describe(row, part) {
    const contents = {
      attributes: row.attributes ? ["Attributes of ", isolated(row.noun), ": ", ...listed(row.attributes)] : [],
      negatives: row.negatives ? ["Hard negatives: ", ...listed(row.negatives)] : [],
      proposer: backends.length || prompted ? proposer(row) : [],
    };
    for (const [name, content] of Object.entries(contents)) {
      part(name).replaceChildren(...content);
      part(name).hidden = !content.length;
    }
    if (verifiers.length) part("opinions").replaceChildren(...opinions(row));
  }

  globalThis.additions = { ids, wanted, describe };
}

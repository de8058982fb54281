// What a threshold would leave: all counts are in the page, the slider looks them up.
"use strict";
{
  const curves = JSON.parse(document.getElementById("curves").textContent);
  const element = (id) => document.getElementById(id);
  const columns = { clip_score: "score", noun_margin: "noun_margin", mask_margin: "mask_margin", mask_area: "area" };
  const count = (value) => value.toLocaleString("en");
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  const curve = () => curves[Number(element("quantity").value)];
  const threshold = () => curve().thresholds[Number(element("slider").value)];

  function choose() {
    element("slider").max = curve().thresholds.length - 1;
    element("slider").value = 0;
    for (const charts of document.querySelectorAll("[data-curve]")) {
      charts.hidden = charts.dataset.curve !== element("quantity").value;
    }
    move();
  }

  function move() {
    const { pairs, nouns, images, judged, correct, condition } = curve();
    const index = Number(element("slider").value);
    element("threshold-value").textContent = threshold();
    element("slider").setAttribute("aria-valuetext", `at least ${threshold()}: ${count(pairs[index])} pairs`);
    for (const [name, counts] of Object.entries({ pairs, nouns, images })) {
      element(`${name}-left`).textContent = count(counts[index]);
      element(`${name}-share`).textContent = `${percent(counts[index] / counts[0])} of ${count(counts[0])}`;
    }
    element("precision-left").hidden = !judged;
    if (judged) {
      element("correct-left").textContent = correct[index] === null ? "–" : percent(correct[index]);
      element("judged-left").textContent = `of ${count(judged[index])} judged pairs`;
    }
    element("condition").textContent = condition.replace("{}", threshold());
    const { thresholds, column } = curve();
    const scale = column === "mask_area" ? Math.log : Number; // as the chart's axis
    const [low, here, high] = [thresholds[0], threshold(), thresholds.at(-1)].map((value) => scale(value));
    for (const marker of document.querySelectorAll(`[data-curve="${element("quantity").value}"] .marker`)) {
      const { left, right } = marker.ownerSVGElement.dataset;
      const share = (here - low) / (high - low);
      marker.setAttribute("transform", `translate(${share * (right - left)} 0)`);
    }
  }

  function show(end, direction) {
    const column = columns[curve().column];
    globalThis.showPairs({ [`${column}-${end}`]: threshold(), sort: column, direction });
  }

  if (curves.length) {
    element("thresholds").hidden = false;
    element("quantity").addEventListener("change", choose);
    element("slider").addEventListener("input", move);
    element("above").addEventListener("click", () => show("from", "1"));
    element("below").addEventListener("click", () => show("to", "-1"));
    choose();
  }
}

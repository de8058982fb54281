// How many pairs of the dataset are right, by the labels so far: a stratified estimate with a rough 95 % interval.
"use strict";
{
  const Z = 1.96;

  // `strata`: {pairs, drawn} each; `counts`: {right, wrong} each. Null without labels that decide.
  globalThis.estimatePrecision = (strata, counts) => {
    const seen = strata.map(({ pairs }, index) => ({ pairs, ...counts[index], decided: counts[index].right + counts[index].wrong }))
      .filter(({ decided }) => decided);
    if (!seen.length) return null;
    const sum = (value) => seen.reduce((total, part) => total + value(part), 0);
    const pairs = sum((part) => part.pairs);
    const share = sum((part) => part.pairs / pairs * part.right / part.decided);
    // A stratum with few labels, all alike, is not certain: each is drawn towards the mean by one label.
    const mean = (sum((part) => part.right) + 1) / (sum((part) => part.decided) + 2);
    const variance = sum((part) => {
      const near = (part.right + mean) / (part.decided + 1);
      return (part.pairs / pairs) ** 2 * near * (1 - near) / part.decided * (1 - part.decided / part.pairs);
    });
    if (!variance) return { share, low: share, high: share };
    // Wilson's interval of as many independent labels as have this variance.
    const labels = mean * (1 - mean) / variance;
    const middle = (share + Z ** 2 / (2 * labels)) / (1 + Z ** 2 / labels);
    const half = Z / (1 + Z ** 2 / labels) * Math.sqrt(share * (1 - share) / labels + Z ** 2 / (4 * labels ** 2));
    return { share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
  };
}

// Precision, recall and F1 from whole numbers. The rules are those of functional/precision_recall.py.

const STEPS = 101; // thresholds 0.00, 0.01, ..., 1.00

/** Turn bin, count, bin, count, ... into the number of scores at or above each threshold. */
function countsFrom(bins) {
  const counts = new Array(STEPS).fill(0);
  for (let i = 0; i < bins.length; i += 2) counts[bins[i]] = bins[i + 1];
  for (let k = STEPS - 2; k >= 0; k--) counts[k] += counts[k + 1];
  return counts;
}

/** Unpack the counts of a class once, when they are first wanted. */
function countsOfClass(series, c) {
  series.counts ??= [];
  return (series.counts[c] ??= {
    hits: countsFrom(series.positiveBins[c]),
    alarms: countsFrom(series.negativeBins[c]),
  });
}

const harmonic = (a, b) => (a + b > 0 ? (2 * a * b) / (a + b) : 0);

/** Numbers of one class at threshold k / 100, as fractions; null where there is nothing to divide. */
function classNumbers(series, c, k, positives) {
  const counts = countsOfClass(series, c);
  const hits = counts.hits[k];
  const predicted = hits + counts.alarms[k];
  const precision = predicted ? hits / predicted : null;
  const recall = positives ? hits / positives : null;
  // Nothing reported of a class that is there: precision 0 in the mean, and F1 0.
  const f1 = positives ? harmonic(precision ?? 0, recall) : null;
  return { hits, predicted, precision, recall, f1 };
}

/** CP to OF1 at threshold k / 100, as fractions; null without any positive. */
function overallNumbers(series, k, positives) {
  let classes = 0, cp = 0, cr = 0, hits = 0, predicted = 0, total = 0;
  positives.forEach((count, c) => {
    const one = classNumbers(series, c, k, count);
    hits += one.hits;
    predicted += one.predicted;
    total += count;
    if (!count) return;
    classes += 1;
    cp += one.precision ?? 0;
    cr += one.recall;
  });
  if (!classes) return { CP: null, CR: null, CF1: null, OP: null, OR: null, OF1: null };
  cp /= classes;
  cr /= classes;
  const op = predicted ? hits / predicted : 0;
  const or = hits / total;
  return { CP: cp, CR: cr, CF1: harmonic(cp, cr), OP: op, OR: or, OF1: harmonic(op, or) };
}

const percent = (fraction) => (fraction == null ? null : 100 * fraction);

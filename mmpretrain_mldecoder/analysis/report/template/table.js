// The table of classes.

function classTable(report, state, onChoose) {
  const { classes, positives, negatives, series } = report;
  const counts = report.unknown ? ['Positives', 'Negatives', 'Unknown'] : ['Positives'];
  const numbers = ['AP', 'P', 'R', 'F1'];

  function columns() {
    const list = counts.map((key) => ({ key, paint: paintCount }));
    for (const name of numbers) {
      list.push({ key: name, paint: name === 'AP' ? paintShare : paintNumber });
      if (state.beside != null) list.push({ key: `Δ${name}`, label: `Δ ${name}`, paint: paintDelta });
    }
    return list;
  }

  /** One row as numbers in percent, in the names of the columns. */
  function row(c) {
    const values = { Positives: positives[c], Negatives: negatives[c] };
    values.Unknown = report.images - positives[c] - negatives[c];
    const of = (s) => {
      const one = classNumbers(series[s], c, state.k, positives[c]);
      return { AP: series[s].ap[c], P: percent(one.precision), R: percent(one.recall), F1: percent(one.f1) };
    };
    const main = of(state.main);
    const beside = state.beside == null ? null : of(state.beside);
    for (const name of numbers) {
      values[name] = main[name];
      if (beside) values[`Δ${name}`] = difference(main[name], beside[name]);
    }
    return values;
  }

  return sortedTable(classes, columns, row, { key: 'AP', down: true }, onChoose);
}

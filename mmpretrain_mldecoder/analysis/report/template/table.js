// The table of classes: sorted, filtered, and at most so many rows of it in the page.

const MAX_ROWS = 250;

function classTable(report, state, onChoose) {
  const { classes, positives, negatives, series } = report;
  const counts = report.unknown ? ['Positives', 'Negatives', 'Unknown'] : ['Positives'];
  const table = document.getElementById('classes');
  const numbers = ['AP', 'P', 'R', 'F1'];
  let order = { key: 'AP', down: true };

  function columns() {
    const list = ['Class', ...counts].map((key) => ({ key, label: key }));
    for (const name of numbers) {
      list.push({ key: name, label: name });
      if (state.beside != null) list.push({ key: `Δ${name}`, label: `Δ ${name}` });
    }
    return list;
  }

  /** One row as numbers in percent, in the names of the columns. */
  function row(c) {
    const values = { index: c, Class: classes[c], Positives: positives[c], Negatives: negatives[c] };
    values.Unknown = report.images - positives[c] - negatives[c];
    const of = (s) => {
      const one = classNumbers(series[s], c, state.k, positives[c]);
      return { AP: series[s].ap[c], P: percent(one.precision), R: percent(one.recall), F1: percent(one.f1) };
    };
    const main = of(state.main);
    const beside = state.beside == null ? null : of(state.beside);
    for (const name of numbers) {
      values[name] = main[name];
      if (!beside) continue;
      const both = main[name] != null && beside[name] != null;
      values[`Δ${name}`] = both ? main[name] - beside[name] : null;
      values[`${name} beside`] = beside[name];
    }
    return values;
  }

  function compare(a, b) {
    const [x, y] = [a[order.key], b[order.key]];
    if (x == null || y == null) return (x == null) - (y == null) || a.index - b.index; // dashes last
    const ascending = typeof x === 'string' ? collator.compare(x, y) : x - y;
    return (order.down ? -ascending : ascending) || a.index - b.index;
  }

  function header() {
    const line = element('tr');
    for (const { key, label } of columns()) {
      const cell = element('th', null, { scope: 'col' });
      const sorted = order.key === key;
      cell.setAttribute('aria-sort', sorted ? (order.down ? 'descending' : 'ascending') : 'none');
      const button = element('button', label, { type: 'button', 'data-key': key });
      button.append(element('span', sorted ? (order.down ? ' ↓' : ' ↑') : '', { 'aria-hidden': 'true' }));
      button.onclick = () => {
        // A first click shows the largest number, or the first name.
        order = { key, down: sorted ? !order.down : key !== 'Class' };
        draw();
        table.querySelector(`button[data-key="${key}"]`).focus();
      };
      cell.append(button);
      line.append(cell);
    }
    table.tHead.replaceChildren(line);
  }

  function line(values) {
    const tr = element('tr');
    const name = element('th', null, { scope: 'row' });
    const button = element('button', values.Class, { type: 'button', class: 'link' });
    button.onclick = () => onChoose(values.index, true);
    name.append(button);
    tr.append(name);
    for (const { key } of columns().slice(1)) {
      let text = counts.includes(key) ? String(values[key]) : show(values[key]);
      const cell = element('td');
      if (key.startsWith('Δ')) {
        const base = key.slice(1);
        text = showDelta(values[base], values[`${base} beside`]);
        cell.className = text.startsWith('+') ? 'up' : text.startsWith('−') ? 'down' : '';
      } else if (key === 'AP' && values.AP != null) {
        cell.style.setProperty('--share', `${values.AP}%`);
        cell.className = 'bar';
      }
      cell.textContent = text;
      tr.append(cell);
    }
    return tr;
  }

  function draw() {
    if (!columns().some(({ key }) => key === order.key)) order = { key: 'AP', down: true };
    const wanted = document.getElementById('filter').value.trim().toLocaleLowerCase();
    const rows = [];
    classes.forEach((name, c) => {
      if (!wanted || name.toLocaleLowerCase().includes(wanted)) rows.push(row(c));
    });
    rows.sort(compare);
    const shown = rows.slice(0, MAX_ROWS);
    header();
    table.tBodies[0].replaceChildren(...shown.map(line));
    const of = rows.length === classes.length ? `${classes.length} classes` : `${rows.length} of ${classes.length} classes`;
    document.getElementById('shown').textContent =
      rows.length > MAX_ROWS ? `${of}; the first ${MAX_ROWS} in this order are shown` : of;
  }

  document.getElementById('filter').oninput = draw;
  return draw;
}

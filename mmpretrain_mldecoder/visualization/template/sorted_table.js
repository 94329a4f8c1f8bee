// A table of classes: sorted, filtered, and at most so many rows of it in the page.

const MAX_ROWS = 250;

const collator = new Intl.Collator();
const show = (value) => (value == null ? '–' : value.toFixed(2));

const difference = (value, other) => (value == null || other == null ? null : value - other);

function showDelta(value) {
  if (value == null) return '–';
  const delta = Number(value.toFixed(2));
  return delta === 0 ? '0.00' : (delta > 0 ? '+' : '−') + Math.abs(delta).toFixed(2);
}

function paintCount(cell, values, key) {
  cell.textContent = String(values[key] ?? '–');
}

function paintNumber(cell, values, key) {
  cell.textContent = show(values[key]);
}

/** A number in percent, with a bar of that share. */
function paintShare(cell, values, key) {
  paintNumber(cell, values, key);
  if (values[key] == null) return;
  cell.style.setProperty('--share', `${values[key]}%`);
  cell.className = 'bar';
}

function paintDelta(cell, values, key) {
  cell.textContent = showDelta(values[key]);
  cell.className = cell.textContent.startsWith('+') ? 'up' : cell.textContent.startsWith('−') ? 'down' : '';
}

/**
 * Return a function that draws the table `#classes`, with what `#filter` leaves of it.
 *
 * columns() are those after the name: { key, label (else the key), paint(cell, values, key) }.
 * row(c) has the values of a class by the keys of the columns, null where there is none.
 * onChoose(c), where given, is called when a name is pressed.
 */
function sortedTable(classes, columns, row, start, onChoose) {
  const table = byId('classes');
  let order = start;

  function compare(a, b) {
    const [x, y] = [a[order.key], b[order.key]];
    if (x == null || y == null) return (x == null) - (y == null) || a.index - b.index; // dashes last
    const ascending = typeof x === 'string' ? collator.compare(x, y) : x - y;
    return (order.down ? -ascending : ascending) || a.index - b.index;
  }

  function header() {
    const line = element('tr');
    for (const { key, label } of [{ key: 'Class' }, ...columns()]) {
      const cell = element('th', null, { scope: 'col' });
      const sorted = order.key === key;
      cell.setAttribute('aria-sort', sorted ? (order.down ? 'descending' : 'ascending') : 'none');
      const button = element('button', label ?? key, { type: 'button', 'data-key': key });
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
    const name = element('th', onChoose ? null : values.Class, { scope: 'row' });
    if (onChoose) {
      const button = element('button', values.Class, { type: 'button', class: 'link' });
      button.onclick = () => onChoose(values.index, true);
      name.append(button);
    }
    tr.append(name);
    for (const { key, paint } of columns()) {
      const cell = element('td');
      paint(cell, values, key);
      tr.append(cell);
    }
    return tr;
  }

  function draw() {
    if (![{ key: 'Class' }, ...columns()].some(({ key }) => key === order.key)) order = start;
    const wanted = byId('filter').value.trim().toLocaleLowerCase();
    const rows = [];
    classes.forEach((name, index) => {
      if (!wanted || name.toLocaleLowerCase().includes(wanted)) rows.push({ index, Class: name, ...row(index) });
    });
    rows.sort(compare);
    const shown = rows.slice(0, MAX_ROWS);
    header();
    table.tBodies[0].replaceChildren(...shown.map(line));
    const of = rows.length === classes.length ? `${classes.length} classes` : `${rows.length} of ${classes.length} classes`;
    byId('shown').textContent =
      rows.length > MAX_ROWS ? `${of}; the first ${MAX_ROWS} in this order are shown` : of;
  }

  byId('filter').oninput = draw;
  return draw;
}

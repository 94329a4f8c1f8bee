// Lines over steps, in SVG: small, and in the colours of the page.

const MARGIN = { left: 46, right: 10, top: 8, bottom: 22 };
const POINTS_WITH_DOTS = 40;

function svg(tag, attributes = {}, text = null) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  return node;
}

/** About so many round numbers between two. */
function roundNumbers(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const numbers = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) numbers.push(n * step);
  return numbers;
}

const short = (value) => {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1).replace('.0e', 'e').replace('e+', 'e');
  return String(Number(value.toPrecision(4)));
};

/** A path through points; a null lifts the pen. */
function pathOf(points) {
  let pen = 'M';
  return points.map(([x, y]) => {
    if (y == null) { pen = 'M'; return ''; }
    const part = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = 'L';
    return part;
  }).join('');
}

/**
 * Draw lines into a node, and a line of text that tells the numbers under the pointer, else the last.
 *
 * lines: { name, points: [[x, y or null], ...] }, one or two; unit: what x counts.
 */
function lineChart(node, lines, unit) {
  const all = lines.flatMap((line) => line.points.filter(([, y]) => y != null));
  const said = element('p');
  if (!all.length) {
    said.textContent = 'nothing yet';
    node.replaceChildren(said);
    return;
  }
  const width = Math.max(node.clientWidth, 200);
  const height = 240;
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  const log = low > 0 && high / low > 50;
  const scale = log ? Math.log10 : (y) => y;
  [low, high] = [scale(low), scale(high)];
  const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
  [low, high] = [low - room, high + room];
  const toX = (x) => MARGIN.left + ((x - left) / (right - left || 1)) * (width - MARGIN.left - MARGIN.right);
  const toY = (y) => height - MARGIN.bottom - ((scale(y) - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);

  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${lines.map((l) => l.name).join(', ')} by ${unit}` });
  const levels = log ? roundNumbers(low, high, 4).map((n) => 10 ** n) : roundNumbers(low, high, 4);
  for (const level of levels) {
    drawing.append(svg('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: toY(level), y2: toY(level) }),
      svg('text', { x: MARGIN.left - 6, y: toY(level) + 4, 'text-anchor': 'end' }, short(level)));
  }
  const places = roundNumbers(left, right, Math.max(2, Math.floor(width / 60)));
  for (const x of places.filter(Number.isInteger)) {
    drawing.append(svg('text', { x: toX(x), y: height - 6, 'text-anchor': 'middle' }, short(x)));
  }
  lines.forEach((line, i) => {
    const points = line.points.map(([x, y]) => [toX(x), y == null ? null : toY(y)]);
    drawing.append(svg('path', { class: `ink${i}`, d: pathOf(points) }));
    if (points.length > POINTS_WITH_DOTS) return;
    for (const [x, y] of points) if (y != null) drawing.append(svg('circle', { cx: x, cy: y, r: 2.5, class: `ink${i}`, fill: 'currentColor' }));
  });
  const cursor = svg('line', { class: 'cursor', y1: MARGIN.top, y2: height - MARGIN.bottom, visibility: 'hidden' });
  drawing.append(cursor);

  const steps = [...new Set(xs)].sort((a, b) => a - b);
  function tell(x) {
    const numbers = lines.map((line) => {
      const point = line.points.find(([at]) => at === x);
      return point?.[1] == null ? null : `${line.name} ${short(point[1])}`;
    });
    said.textContent = `${unit} ${x}: ${numbers.filter(Boolean).join(', ')}${log ? ' (logarithmic)' : ''}`;
  }
  drawing.onpointermove = (event) => {
    const box = drawing.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    const nearest = steps.reduce((a, b) => (Math.abs(toX(b) - at) < Math.abs(toX(a) - at) ? b : a));
    for (const end of ['x1', 'x2']) cursor.setAttribute(end, toX(nearest));
    cursor.setAttribute('visibility', 'visible');
    tell(nearest);
  };
  drawing.onpointerleave = () => {
    cursor.setAttribute('visibility', 'hidden');
    tell(steps[steps.length - 1]);
  };
  tell(steps[steps.length - 1]);
  node.replaceChildren(drawing, said);
}

/** A tiny line without numbers; y in [0, 100]. */
function sparkLine(values) {
  const drawing = svg('svg', { viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const points = values.map((y, i) => [2 + (96 * i) / (values.length - 1 || 1), y == null ? null : 22 - y / 5]);
  drawing.append(svg('path', { d: pathOf(points), 'vector-effect': 'non-scaling-stroke' }));
  return drawing;
}

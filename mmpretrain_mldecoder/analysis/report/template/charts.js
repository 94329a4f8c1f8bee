// Drawings, by Plotly. Its texts know a little HTML, so names are escaped for it.
// To run Plotly's 5 MB takes most of a second: that waits until the numbers are on the screen, and a
// drawing until it comes near it.

const MAX_DOTS = 2000;

const escapeText = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const shorten = (text, length = 18) => escapeText(text.length > length ? text.slice(0, length - 1) + '…' : text);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function layout(x, y, more = {}) {
  const axis = { gridcolor: color('--line'), zerolinecolor: color('--line'), linecolor: color('--line'), automargin: true };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color('--ink') },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    margin: { l: 48, r: 12, t: 28, b: 44 },
    hoverlabel: { bgcolor: color('--paper'), font: { color: color('--ink') }, bordercolor: color('--line') },
    legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0 },
    ...more,
    xaxis: { ...axis, ...x },
    yaxis: { ...axis, ...y },
  };
}

const CONFIG = { displaylogo: false, responsive: true, displayModeBar: false };
const draw = (id, traces, form) => Plotly.react(id, traces, form, CONFIG);

/** The exact curve where there is one, else one through the thresholds of the slider. */
function curveOf(series, c, positives) {
  if (series.curves.length) return series.curves[c];
  const curve = { recall: [], precision: [], thr: [] };
  for (let k = STEPS - 1; k >= 0; k--) {
    const one = classNumbers(series, c, k, positives);
    if (!one.hits || !positives) continue;
    curve.recall.push(percent(one.recall));
    curve.precision.push(percent(one.precision));
    curve.thr.push(k / 100);
  }
  return curve;
}

const curveTrace = (curve, name, style) => ({
  x: curve.recall, y: curve.precision, customdata: curve.thr, name, mode: 'lines', ...style,
  hovertemplate: 'recall %{x:.1f}, precision %{y:.1f}<br>from score %{customdata:.3f}<extra></extra>',
});

function drawCurve(report, state) {
  const { series, positives, classes } = report;
  const both = [[state.main, '--one', 'solid'], [state.beside, '--two', 'dash']].filter(([s]) => s != null);
  const traces = [];
  for (const [s, ink, dash] of both) {
    traces.push(curveTrace(series[s].micro, `all classes, ${series[s].name}`,
      { line: { color: color('--faint'), dash, width: 1.5 } }));
  }
  for (const [s, ink, dash] of both) {
    const curve = curveOf(series[s], state.class, positives[state.class]);
    traces.push(curveTrace(curve, `${shorten(classes[state.class])}, ${series[s].name}`,
      { line: { color: color(ink), dash, width: 2.5 }, mode: curve.recall.length > 1 ? 'lines' : 'markers' }));
  }
  for (const [s, ink] of both) {
    const at = classNumbers(series[s], state.class, state.k, positives[state.class]);
    if (at.precision == null || at.recall == null) continue;
    traces.push({ x: [percent(at.recall)], y: [percent(at.precision)], mode: 'markers', showlegend: false,
      marker: { color: color(ink), size: 10, line: { color: color('--paper'), width: 2 } },
      hovertemplate: `at ${(state.k / 100).toFixed(2)}: recall %{x:.2f}, precision %{y:.2f}<extra></extra>` });
  }
  draw('curve', traces, layout({ title: { text: 'recall, %' }, range: [0, 101] },
    { title: { text: 'precision, %' }, range: [0, 102] }, { margin: { l: 48, r: 12, t: 64, b: 44 } }));
}

function drawHistogram(report, state) {
  const bars = (bins, total, name, ink) => {
    const shares = new Array(50).fill(0);
    for (let i = 0; i < bins.length; i += 2) shares[Math.min(49, bins[i] >> 1)] += bins[i + 1];
    return { type: 'bar', name, x: shares.map((_, i) => (i + 0.5) / 50), width: 0.02,
      y: shares.map((n) => (total ? (100 * n) / total : 0)), customdata: shares,
      text: shares.map((_, i) => `${(i / 50).toFixed(2)} to ${((i + 1) / 50).toFixed(2)}`), textposition: 'none',
      marker: { color: color(ink), opacity: 0.6 },
      hovertemplate: 'score %{text}<br>%{customdata} images, %{y:.1f} %<extra></extra>' };
  };
  const one = report.series[state.main];
  const c = state.class;
  draw('histogram', [
    bars(one.negativeBins[c], report.negatives[c], `without it (${report.negatives[c]})`, '--two'),
    bars(one.positiveBins[c], report.positives[c], `with it (${report.positives[c]})`, '--one'),
  ], layout({ title: { text: `score of ${shorten(report.classes[c], 30)}, ${one.name}` }, range: [0, 1] },
    { title: { text: '% of the images' } }, { barmode: 'overlay', bargap: 0, shapes: [{ type: 'line', yref: 'paper',
      x0: state.k / 100, x1: state.k / 100, y0: 0, y1: 1, line: { color: color('--ink'), width: 1.5, dash: 'dot' } }] }));
}

function drawSizes(report, state) {
  const traces = [[state.main, '--one'], [state.beside, '--two']].filter(([s]) => s != null).map(([s, ink]) => {
    const { name, sizes } = report.series[s];
    return { type: 'bar', name, x: sizes.map((z) => `${z.name}<br>${z.classes} classes`), y: sizes.map((z) => z.mAP), marker: { color: color(ink) },
      text: sizes.map((z) => show(z.mAP)), textposition: 'auto', customdata: sizes.map((z) => z.positives),
      hovertemplate: '%{x}, %{customdata} labels: mAP %{text}<extra></extra>' };
  });
  draw('sizes', traces, layout({}, { title: { text: 'mAP, %' }, range: [0, 100] }, { showlegend: traces.length > 1 }));
}

function drawFrequency(report, state) {
  const { classes, positives, series } = report;
  const one = series[state.main];
  let dots = classes.map((_, c) => c).filter((c) => one.ap[c] != null);
  const all = dots.length;
  if (all > MAX_DOTS) {
    dots.sort((a, b) => positives[a] - positives[b]);
    dots = Array.from({ length: MAX_DOTS }, (_, i) => dots[Math.floor((i * all) / MAX_DOTS)]);
  }
  const traces = [{ mode: 'markers', name: 'classes', showlegend: false, x: dots.map((c) => positives[c]),
    y: dots.map((c) => one.ap[c]), text: dots.map((c) => escapeText(classes[c])),
    marker: { color: color('--one'), size: 8, opacity: 0.7 },
    hovertemplate: '%{text}<br>%{x} images, AP %{y:.2f}<extra></extra>' }];
  for (const third of one.thirds) {
    const words = `${third.name}: mAP ${show(third.mAP)}`;
    traces.push({ mode: 'lines', name: words, x: [third.fewest, third.most], y: [third.mAP, third.mAP],
      line: { width: 4, color: color({ rare: '--two', medium: '--three', common: '--ink' }[third.name]) },
      hovertemplate: `${third.classes} ${third.name} classes of ${third.fewest} to ${third.most} images, mAP %{y:.2f}<extra></extra>` });
  }
  draw('frequency', traces, layout({ title: { text: 'images that show the class' }, type: 'log' },
    { title: { text: 'AP, %' }, range: [0, 102] }));
  byId('frequency-hint').textContent =
    all > MAX_DOTS ? `${MAX_DOTS} of ${all} classes are drawn, evenly by frequency.` : '';
}

function drawHeatmap({ errors }, state) {
  const { confusions } = errors[state.run];
  if (!confusions.pairs.length) return; // it is hidden
  const above = confusions.count.map((row, i) => row.map((n, j) => n - confusions.expected[i][j]));
  const most = Math.max(...above.flat().map(Math.abs));
  draw('heatmap', [{ type: 'heatmap', z: above, zmin: -most, zmax: most, xgap: 1, ygap: 1,
    colorscale: [[0, color('--two')], [0.5, color('--paper')], [1, color('--one')]],
    text: confusions.count.map((row, i) => row.map((n, j) =>
      `missed ${escapeText(confusions.missed[i])}, reported ${escapeText(confusions.reported[j])}: ${n} images, ${confusions.expected[i][j]} by chance`)),
    hovertemplate: '%{text}<extra></extra>', colorbar: { thickness: 10, outlinewidth: 0 } }],
  layout({ title: { text: 'reported' }, tickvals: confusions.reported.map((_, j) => j), ticktext: confusions.reported.map((n) => shorten(n)), tickangle: -45, showgrid: false },
    { title: { text: 'missed' }, tickvals: confusions.missed.map((_, i) => i), ticktext: confusions.missed.map((n) => shorten(n)), autorange: 'reversed', showgrid: false }));
}

/** Return a function that redraws some of the charts, or all of them: now, or when they are near. */
function chartPainter(report, state) {
  const painters = {
    curve: drawCurve, histogram: drawHistogram, sizes: drawSizes, frequency: drawFrequency, heatmap: drawHeatmap,
  };
  if (report.noSizes) delete painters.sizes;
  const near = new Set();
  const outdated = new Set();

  function paint(ids) {
    for (const id of ids) {
      if (!outdated.delete(id)) continue;
      painters[id](report, state);
      byId(id).dataset.drawn = '';
    }
  }
  function redraw(ids = Object.keys(painters), everywhere = false) {
    ids.forEach((id) => outdated.add(id));
    if (window.Plotly) paint(everywhere ? ids : ids.filter((id) => near.has(id)));
  }
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) near.add(target.id);
      else near.delete(target.id);
    }
    paint(near);
  }, { rootMargin: '600px' });

  redraw();
  addEventListener('load', () => setTimeout(() => {
    document.head.append(element('script', byId('plotly').textContent));
    Object.keys(painters).forEach((id) => observer.observe(byId(id)));
  }));
  return redraw;
}

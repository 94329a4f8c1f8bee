// Puts the parts together: what is chosen, and what is redrawn when that changes.

(() => {
  const report = JSON.parse(document.getElementById('data').textContent);
  const { series, classes, positives } = report;
  const byId = (id) => document.getElementById(id);
  const fileName = (path) => path.split('/').pop();
  // Another run is what one wants to see beside this one, before its own raw weights.
  const rival = report.runs.length > 1 ? series.findIndex((s) => s.name.startsWith('B')) : 1;
  const state = {
    k: Math.round(100 * report.thr),
    main: 0,
    run: null, // whose errors are shown
    beside: series.length > 1 ? rival : null,
    class: positives.indexOf(Math.max(...positives)),
  };

  const title = fileName(report.config).replace(/\.py$/, '') || 'Report';
  document.title = `${title} – report`;
  byId('title').textContent = title;
  const skipped = positives.filter((count) => !count).length;
  const certain = positives.filter((count, c) => count && !report.negatives[c]).length;
  const facts = [['Config', report.config]];
  report.runs.forEach((run, i) => {
    const letter = report.runs.length > 1 ? ` ${'AB'[i]}` : '';
    facts.push([`Predictions${letter}`, `${run.file}, ${run.date.replace('T', ' ')}`]);
  });
  facts.push(['Images', `${report.images.toLocaleString('en')}, of which ${report.unlabelled.toLocaleString('en')} show none of the classes`]);
  facts.push(['Classes', classes.length.toLocaleString('en')]);
  facts.push(['Weights', series.map((s) => s.name).join(', ')]);
  if (report.checkpoint) facts.push(['Attention of', report.checkpoint]);
  for (const [name, value] of facts) byId('facts').append(element('dt', name), element('dd', value));
  for (const note of report.notes) byId('notes').append(element('li', note));
  byId('skipped').textContent =
    (skipped ? `${skipped} of ${classes.length} classes have no positive image and are left out of mAP, CP and CR. ` : '') +
    (certain ? `${certain} have no negative image, so there is nothing to rank, and are left out of mAP, not of CP and CR. ` : '') +
    (report.unknown ? `${report.unknown} unknown labels are not counted.` : '');
  byId('footer').textContent = `Made by mmpretrain_mldecoder ${report.version}.`;

  function drawHeadline() {
    const names = ['CP', 'CR', 'CF1', 'OP', 'OR', 'OF1'];
    const head = element('tr');
    for (const name of ['Weights', 'mAP', ...names]) head.append(element('th', name, { scope: 'col' }));
    byId('headline').tHead.replaceChildren(head);
    byId('headline').tBodies[0].replaceChildren(...series.map((one, s) => {
      const line = element('tr');
      if (s === state.main) line.className = 'chosen';
      line.append(element('th', one.name, { scope: 'row' }), element('td', show(one.mAP), { class: 'lead' }));
      const overall = overallNumbers(one, state.k, positives);
      for (const name of names) line.append(element('td', show(percent(overall[name])), { 'data-name': name }));
      return line;
    }));
  }

  function choose(c, scroll) {
    state.class = c;
    byId('class').value = String(c);
    redraw(ofOneClass);
    if (!scroll) return;
    byId('h-curves').scrollIntoView({ behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    byId('class').focus({ preventScroll: true });
  }

  // Of the run that is chosen, whichever of its weights.
  function drawErrors() {
    const run = report.runs.length > 1 && series[state.main].name.startsWith('B') ? 1 : 0;
    if (run === state.run) return;
    state.run = run;
    describeConfusions(report.errors[run]);
    drawImages(report.errors[run]);
  }

  const drawTable = classTable(report, state, choose);
  const redraw = chartPainter(report, state);
  const ofOneClass = ['curve', 'histogram'];
  function drawNumbers() {
    byId('thr-value').textContent = (state.k / 100).toFixed(2);
    byId('thr').setAttribute('aria-valuetext', (state.k / 100).toFixed(2));
    byId('delta-hint').textContent = state.beside == null ? ''
      : `Δ: ${series[state.main].name} minus ${series[state.beside].name}, in points.`;
    drawHeadline();
    drawTable();
  }

  const option = (text, value) => element('option', text, { value: String(value) });
  series.forEach((one, s) => byId('main').append(option(one.name, s)));
  byId('beside').append(option('nothing', ''), ...series.map((one, s) => option(one.name, s)));
  byId('beside').value = state.beside == null ? '' : String(state.beside);
  byId('beside-label').hidden = series.length < 2;
  const byName = classes.map((_, c) => c).sort((a, b) => collator.compare(classes[a], classes[b]));
  byId('class').append(...byName.map((c) => option(classes[c], c)));
  byId('class').value = String(state.class);
  if (!series[0].curves.length) {
    byId('curve-hint').textContent = 'With so many classes, the curve of a class is drawn through the 101 thresholds of the slider.';
  }

  byId('thr').value = String(state.k);
  let waiting = false;
  byId('thr').oninput = () => {
    state.k = Number(byId('thr').value);
    if (waiting) return; // many events come while dragging; one drawing a frame is enough
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawNumbers();
      redraw(ofOneClass);
    });
  };
  byId('main').onchange = byId('beside').onchange = () => {
    state.main = Number(byId('main').value);
    state.beside = byId('beside').value === '' ? null : Number(byId('beside').value);
    if (state.beside === state.main) {
      state.beside = null;
      byId('beside').value = '';
    }
    drawNumbers();
    drawErrors();
    redraw();
  };
  byId('class').onchange = () => choose(Number(byId('class').value), false);

  drawNumbers();
  drawErrors();
  if (report.noSizes) {
    byId('sizes').hidden = true;
    byId('sizes-caption').textContent = `AP by object size is not here. ${report.noSizes}`;
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redraw());
  // Paper is white: while printing, styles and drawings are the light ones.
  const root = document.documentElement;
  addEventListener('beforeprint', () => { root.dataset.print = ''; redraw(undefined, true); });
  addEventListener('afterprint', () => { delete root.dataset.print; redraw(); });
})();

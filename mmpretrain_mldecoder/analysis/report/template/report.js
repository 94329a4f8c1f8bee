// Puts the parts together: what is chosen, and what is redrawn when that changes.

(() => {
  const { series, classes, positives } = page;
  // Another run is what one wants to see beside this one, before its own raw weights.
  const rival = page.runs.length > 1 ? series.findIndex((s) => s.name.startsWith('B')) : 1;
  const state = {
    k: Math.round(100 * page.thr),
    main: 0,
    run: null, // whose errors are shown
    beside: series.length > 1 ? rival : null,
    class: positives.indexOf(Math.max(...positives)),
  };

  const skipped = positives.filter((count) => !count).length;
  const certain = positives.filter((count, c) => count && !page.negatives[c]).length;
  const facts = [['Config', page.config]];
  page.runs.forEach((run, i) => {
    const letter = page.runs.length > 1 ? ` ${'AB'[i]}` : '';
    facts.push([`Predictions${letter}`, `${run.file}, ${run.date.replace('T', ' ')}`]);
  });
  facts.push(['Images', `${page.images.toLocaleString('en')}, of which ${page.unlabelled.toLocaleString('en')} show none of the classes`]);
  facts.push(['Classes', classes.length.toLocaleString('en')]);
  facts.push(['Weights', series.map((s) => s.name).join(', ')]);
  if (page.checkpoint) facts.push(['Attention of', page.checkpoint]);
  fillFrame(facts);
  byId('skipped').textContent =
    (skipped ? `${skipped} of ${classes.length} classes have no positive image and are left out of mAP, CP and CR. ` : '') +
    (certain ? `${certain} have no negative image, so there is nothing to rank, and are left out of mAP, not of CP and CR. ` : '') +
    (page.unknown ? `${page.unknown} unknown labels are not counted.` : '');

  function drawHeadline() {
    const names = ['CP', 'CR', 'CF1', 'OP', 'OR', 'OF1'];
    setColumns(byId('headline'), ['Weights', 'mAP', ...names]);
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
    const run = page.runs.length > 1 && series[state.main].name.startsWith('B') ? 1 : 0;
    if (run === state.run) return;
    state.run = run;
    describeConfusions(page.errors[run]);
    drawImages(page.errors[run]);
  }

  const drawTable = classTable(page, state, choose);
  const redraw = chartPainter(page, state);
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
  if (page.noSizes) {
    byId('sizes').hidden = true;
    byId('sizes-caption').textContent = `AP by object size is not here. ${page.noSizes}`;
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redraw());
  // Paper is white: while printing, styles and drawings are the light ones.
  const root = document.documentElement;
  addEventListener('beforeprint', () => { root.dataset.print = ''; redraw(undefined, true); });
  addEventListener('afterprint', () => { delete root.dataset.print; redraw(); });
})();

// Puts the page of a training together, and loads it again while the training runs.

(() => {
  const { progress, training, validations, classes, unit } = page;
  const last = validations[validations.length - 1];

  // What is chosen outlives a reload of the tab; where the browser keeps nothing, it does not.
  const KEY = `mldecoder live ${page.folder}`;
  const state = { training: 'loss', metric: null, filter: '', when: null, refresh: true };
  try { Object.assign(state, JSON.parse(sessionStorage.getItem(KEY))); } catch { /* nothing kept */ }
  function keep(changes) {
    Object.assign(state, changes);
    try { sessionStorage.setItem(KEY, JSON.stringify(state)); } catch { /* nothing kept */ }
  }

  byId('progress').max = progress.max_iterations;
  byId('progress').value = progress.iteration;

  function inWords(seconds) {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
  }
  function tellState() {
    const age = Math.max(0, Date.now() / 1000 - page.written);
    const late = !page.finished && age > Math.max(600, 10 * progress.refresh);
    byId('state').classList.toggle('late', late);
    if (page.finished) byId('state').textContent = 'The training is finished.';
    else if (late) byId('state').textContent = `No news for ${inWords(age)}: the training has ended, or is busy for long.`;
    else byId('state').textContent = `Running, as of ${inWords(age)} ago`
      + (progress.seconds_left ? `; about ${inWords(progress.seconds_left)} left, without validations` : '');
  }
  tellState();
  setInterval(tellState, 1000);
  const facts = [];
  if (progress.max_epochs != null) facts.push(['Epochs', `${progress.epoch} of ${progress.max_epochs}`]);
  facts.push(['Iterations', `${progress.iteration.toLocaleString('en')} of ${progress.max_iterations.toLocaleString('en')}`]);
  facts.push(['Work dir', page.folder]);
  fillFrame(facts);

  function options(select, names, key) {
    if (!names.includes(state[key])) state[key] = names[0] ?? null;
    select.append(...names.map((name) => element('option', name, { value: name })));
    select.value = state[key];
    select.onchange = () => { keep({ [key]: select.value }); drawCurves(); };
  }
  const trained = [...new Set(training.flatMap((record) => Object.keys(record)))].filter((key) => key !== 'step' && key !== 'lr');
  options(byId('training'), ['loss', ...trained.filter((key) => key !== 'loss')], 'training');
  const metrics = [...new Set(validations.flatMap((record) => Object.keys(record.metrics)))];
  // Raw weights are drawn beside the averaged ones.
  options(byId('metric'), metrics.filter((name) => !name.endsWith('_raw') || !metrics.includes(name.slice(0, -4))), 'metric');
  byId('metric-figure').hidden = byId('validations-section').hidden = !validations.length;

  const ofTraining = (key) => ({ name: key, points: training.map((record) => [record.step, record[key] ?? null]) });
  const ofMetric = (key) => ({ name: key, points: validations.map((record) => [record.step, record.metrics[key] ?? null]) });
  function drawCurves() {
    lineChart(byId('training-chart'), [ofTraining(state.training)], 'iteration');
    lineChart(byId('rate-chart'), [ofTraining('lr')], 'iteration');
    if (!validations.length) return;
    const names = [state.metric, `${state.metric}_raw`].filter((name) => metrics.includes(name));
    lineChart(byId('metric-chart'), names.map(ofMetric), unit);
  }
  drawCurves();
  let width = innerWidth;
  addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; drawCurves(); } });

  if (validations.length) {
    setColumns(byId('validations'), [unit, ...metrics]);
    const best = Object.fromEntries(metrics.map((name) => [name, Math.max(...validations.map((v) => v.metrics[name] ?? -Infinity))]));
    byId('validations').tBodies[0].replaceChildren(...validations.map((record) => {
      const line = element('tr');
      line.append(element('th', String(record.step), { scope: 'row' }));
      for (const name of metrics) {
        const value = record.metrics[name];
        line.append(element('td', show(value), value === best[name] ? { class: 'best', title: 'the highest' } : {}));
      }
      return line;
    }).reverse());
  }

  const scored = validations.filter((record) => record.ap);
  byId('classes-section').hidden = !scored.length;
  if (scored.length) {
    const [newest, before] = [scored[scored.length - 1], scored[scored.length - 2]];
    const columns = () => [
      { key: 'Positives', paint: (cell, values) => { cell.textContent = String(values.Positives ?? '–'); } },
      { key: 'AP', paint: paintShare },
      ...(before ? [{ key: 'Δ', label: `Δ since ${unit} ${before.step}`, paint: paintDelta }] : []),
      { key: 'so far', paint: (cell, values) => { cell.className = 'spark'; cell.append(sparkLine(scored.map((record) => record.ap[values.index]))); } },
    ];
    const row = (c) => ({
      Positives: page.positives?.[c] ?? null, AP: newest.ap[c], Δ: before ? difference(newest.ap[c], before.ap[c]) : null, 'so far': null,
    });
    const names = newest.ap.map((_, c) => nameOf(classes, c));
    byId('filter').value = state.filter;
    byId('filter').addEventListener('input', () => keep({ filter: byId('filter').value }));
    sortedTable(names, columns, row, { key: 'AP', down: false })();
    byId('classes-hint').textContent = `After ${unit} ${newest.step}. Positives: images that show the class. `
      + `AP in percent; a dash: no positives, or no negatives. The line goes from 0 to 100, over ${scored.length} validations.`;
  }

  const withImages = validations.filter((record) => record.images);
  byId('images-section').hidden = !withImages.length;
  if (withImages.length) {
    const slider = byId('when');
    slider.max = String(withImages.length - 1);
    const kept = withImages.findIndex((record) => record.step === state.when);
    slider.value = String(kept < 0 ? withImages.length - 1 : kept);
    const drawImages = () => {
      const record = withImages[Number(slider.value)];
      byId('when-value').textContent = `${unit} ${record.step}`;
      slider.setAttribute('aria-valuetext', `${unit} ${record.step}`);
      byId('images').replaceChildren(...record.images.map((labels, i) => liveCard(page, page.images[i], labels)));
    };
    slider.oninput = () => {
      const newest = Number(slider.value) === withImages.length - 1;
      keep({ when: newest ? null : withImages[Number(slider.value)].step }); // the newest stays the newest
      drawImages();
    };
    drawImages();
    const maps = withImages.some((record) => record.images.flat().some(([, , map]) => map));
    byId('attention-hint').textContent = maps
      ? 'Press a label to see where the head looked for it, bright where most; press it again for the image alone.' : '';
  }

  byId('refresh-label').hidden = page.finished;
  byId('refresh').checked = state.refresh;
  byId('refresh').onchange = () => keep({ refresh: byId('refresh').checked });
  // Not while somebody writes, chooses or moves something, nor in a tab that nobody sees.
  let touched = 0;
  for (const kind of ['input', 'keydown', 'pointerdown', 'pointermove']) {
    addEventListener(kind, () => { touched = performance.now(); });
  }
  function follow() {
    const now = performance.now(); // milliseconds since the page was loaded
    const isQuiet = !document.hidden && now - touched > 500 * progress.refresh;
    if (byId('refresh').checked && isQuiet && now > 1000 * progress.refresh) location.reload();
  }
  if (!page.finished) setInterval(follow, 100 * progress.refresh);
})();

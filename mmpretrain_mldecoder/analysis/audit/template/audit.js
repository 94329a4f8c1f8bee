// Suspicions as cards, the decisions about them, and the file that holds these.

(() => {
  const { classes, images, suspicions } = page;
  const words = { missing: 'Add', spurious: 'Remove' };
  const keys = suspicions.map((s) => JSON.stringify([images[s.image].file, classes[s.label].name, s.kind]));

  // By image and class, not by number: what was decided holds for the next audit of this run, too.
  const place = `mldecoder audit ${page.run}`;
  let decisions = {};
  try {
    decisions = JSON.parse(localStorage.getItem(place) ?? '{}');
  } catch {
    page.notes.push('This browser keeps nothing of this page: download the decisions before you close it.');
  }
  const history = [];

  function decide(chosen, accepted) {
    history.push(chosen.map((i) => [keys[i], decisions[keys[i]]]));
    for (const i of chosen) decisions[keys[i]] = accepted;
    changed();
  }

  function undo() {
    for (const [key, before] of history.pop() ?? []) {
      if (before === undefined) delete decisions[key];
      else decisions[key] = before;
    }
    changed();
  }

  function changed() {
    try {
      localStorage.setItem(place, JSON.stringify(decisions));
    } catch {
      // said in a note above
    }
    draw();
  }

  const cards = suspicions.map((suspicion, i) => {
    const { file, labels, pixels } = images[suspicion.image];
    const { name } = classes[suspicion.label];
    const node = element('article', null, { class: `card ${suspicion.kind}`, tabindex: '-1' });
    node.append(pixels ? element('img', null, { src: pixels, alt: `image: ${file}`, decoding: 'async' })
      : element('p', 'the image could not be read', { class: 'absent' }));
    const said = element('p', `${words[suspicion.kind]} `, { class: 'said' });
    said.append(element('b', name), `? score ${suspicion.score.toFixed(3)}`);
    node.append(said, element('p', labels.length ? `labels: ${labels.join(', ')}` : 'no labels', { class: 'truth' }));
    node.append(element('p', file.split('/').pop(), { class: 'file', title: file }));
    const buttons = element('div', null, { class: 'buttons' });
    for (const [text, accepted] of [['Accept', true], ['Reject', false]]) {
      const button = element('button', text, { type: 'button' });
      button.setAttribute('aria-label', `${text}: ${words[suspicion.kind].toLowerCase()} ${name}, ${file}`);
      button.onclick = () => choose(i, accepted);
      buttons.append(button);
    }
    node.append(buttons);
    return node;
  });

  function isShown(i) {
    const { label, kind } = suspicions[i];
    return (byId('class').value === '' || Number(byId('class').value) === label)
      && (byId('kind').value === '' || byId('kind').value === kind)
      && !(byId('open').checked && keys[i] in decisions);
  }

  let shown = [];
  function draw() {
    shown = suspicions.map((_, i) => i).filter(isShown);
    for (const i of shown) {
      const decision = decisions[keys[i]];
      cards[i].classList.toggle('decided', decision !== undefined);
      const [accept, reject] = cards[i].querySelectorAll('button');
      accept.setAttribute('aria-pressed', String(decision === true));
      reject.setAttribute('aria-pressed', String(decision === false));
    }
    byId('cards').replaceChildren(...(shown.length ? shown.map((i) => cards[i]) : [element('p', 'None to show.')]));
    const undecided = shown.filter((i) => !(keys[i] in decisions)).length;
    for (const word of ['Accept', 'Reject']) {
      const button = byId(`${word.toLowerCase()}-all`);
      button.textContent = `${word} all ${undecided} shown`;
      button.disabled = !undecided;
    }
    byId('undo').disabled = !history.length;
    const decided = keys.filter((key) => key in decisions).length;
    byId('progress').textContent = `${decided} of ${keys.length} decided`;
    byId('download').disabled = !decided;
    drawClasses();
  }

  const order = classes.map((_, label) => label).filter((label) => suspicions.some((s) => s.label === label));
  order.sort((a, b) => collator.compare(classes[a].name, classes[b].name));
  const columns = ['Labels', 'Unknown', 'Missing?', 'Spurious?', 'Decided'].map((key) => ({ key, paint: paintCount }));
  function classRow(label) {
    const one = classes[label];
    const own = keys.filter((key, i) => suspicions[i].label === label && key in decisions);
    const found = one.judged ? { 'Missing?': one.missing, 'Spurious?': one.spurious } : {};
    return { Labels: one.labels, Unknown: one.unknown, ...found, Decided: own.length };
  }
  const drawClasses = sortedTable(classes.map((one) => one.name), () => columns, classRow, { key: 'Missing?', down: true }, (label) => {
    byId('class').value = order.includes(label) ? String(label) : '';
    draw();
    byId('controls').scrollIntoView();
    byId('class').focus();
  });

  /** The next card takes the place of one that is no longer shown. */
  function choose(i, accepted) {
    const at = shown.indexOf(i);
    decide([i], accepted);
    focusCard(shown.includes(i) ? at + 1 : at);
  }

  function focusCard(at) {
    const card = cards[shown[Math.max(0, Math.min(at, shown.length - 1))]];
    card?.focus();
    card?.scrollIntoView({ block: 'nearest' });
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('select, input')) return;
    const at = shown.findIndex((i) => cards[i].contains(document.activeElement));
    const decision = { a: true, r: false }[event.key];
    if (event.key === 'u') undo();
    else if (event.key === 'ArrowRight') focusCard(at + 1);
    else if (event.key === 'ArrowLeft') focusCard(at - 1);
    else if (decision !== undefined && at >= 0) choose(shown[at], decision);
    else return;
    event.preventDefault();
  });

  function download() {
    const made = suspicions.flatMap((s, i) => keys[i] in decisions
      ? [{ image: images[s.image].file, class: classes[s.label].name, suspicion: s.kind, accepted: decisions[keys[i]] }] : []);
    const text = JSON.stringify({ decisions: made }, null, 1);
    const link = element('a', null, { download: 'decisions.json' });
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  fillFrame(page.facts);
  byId('command').textContent = page.command;
  byId('class').append(element('option', 'all', { value: '' }));
  for (const label of order) byId('class').append(element('option', classes[label].name, { value: String(label) }));
  for (const id of ['class', 'kind', 'open']) byId(id).onchange = draw;
  const undecided = () => shown.filter((i) => !(keys[i] in decisions));
  byId('accept-all').onclick = () => decide(undecided(), true);
  byId('reject-all').onclick = () => decide(undecided(), false);
  byId('undo').onclick = undo;
  byId('download').onclick = download;
  draw();
})();

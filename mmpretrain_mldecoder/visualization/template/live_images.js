// The same images at each validation: labels, scores, and where the network looked.

const SIGNS = { hit: '✓', miss: '○', alarm: '✗', unknown: '?', '': '' };

function kindOf(image, label, score) {
  if (image.unknown.includes(label)) return 'unknown';
  if (image.positive.includes(label)) return score >= 0.5 ? 'hit' : 'miss';
  return score >= 0.5 ? 'alarm' : '';
}

const nameOf = (classes, label) => classes[label] ?? `class ${label}`;

/** A card of an image; labels are [class, score, map or null]. */
function liveCard(run, image, labels) {
  const card = element('article', null, { class: 'card' });
  const stack = element('div', null, { class: 'stack' });
  const inner = element('div');
  const photo = element('img', null, { src: image.image, alt: `image: ${image.file}` });
  inner.append(photo);
  stack.append(inner);
  card.append(stack);

  function look(button, map) {
    const on = button.getAttribute('aria-pressed') !== 'true';
    card.querySelectorAll('button').forEach((b) => b.setAttribute('aria-pressed', 'false'));
    inner.querySelector('.over')?.remove();
    photo.classList.toggle('grey', on);
    button.setAttribute('aria-pressed', String(on));
    if (on) inner.append(element('img', null, { class: 'over', src: map, alt: 'attention' }));
  }

  labels.forEach(([label, score, map], i) => {
    const kind = kindOf(image, label, score);
    const line = element(map ? 'button' : 'div', null, { class: 'label bar', ...(map ? { type: 'button', 'aria-pressed': 'false' } : {}) });
    line.style.setProperty('--share', `${100 * (score ?? 0)}%`);
    line.append(element('span', SIGNS[kind], { class: `sign ${kind}`, title: kind }), element('span', nameOf(run.classes, label)),
      element('span', score == null ? '–' : score.toFixed(2)));
    card.append(line);
    if (!map) return;
    line.onclick = () => look(line, map);
    if (i === 0) look(line, map);
  });
  const more = image.positive.filter((label) => !labels.some(([shown]) => shown === label)).length;
  const rest = more ? `and ${more} more labels` : image.positive.length ? '' : 'no labels';
  if (rest) card.append(element('p', rest, { class: 'file' }));
  card.append(element('p', image.file.split('/').pop(), { class: 'file', title: image.file }));
  return card;
}

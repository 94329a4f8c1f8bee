// The images of the worst errors.

function image(address, words, caption) {
  const figure = element('figure');
  figure.append(element('img', null, { src: address, alt: words, decoding: 'async' }), element('figcaption', caption));
  return figure;
}

function imageCard(card, kind) {
  const node = element('article', null, { class: `card ${kind}` });
  const images = element('div', null, { class: 'images' });
  if (card.image) images.append(image(card.image, `image: ${card.file}`, card.attention ? 'image' : ''));
  else {
    const why = card.outside ? 'outside the dataset: not shown' : 'the image could not be read';
    images.append(element('p', why, { class: 'absent' }));
  }
  if (card.attention) images.append(image(card.attention, `attention for ${card.label}`, 'attention'));
  const said = element('p', null, { class: 'said' });
  said.append(element('b', card.label), ` ${card.score.toFixed(3)}`);
  node.append(images, said);
  const truth = card.truth.join(', ') + (card.more ? `, and ${card.more} more` : '');
  node.append(element('p', truth ? `labels: ${truth}` : 'no labels', { class: 'truth' }));
  if (card.shares.length) {
    node.append(element('p', `the attention is also that of: ${card.shares.join(', ')}`, { class: 'truth' }));
  }
  node.append(element('p', card.file.split('/').pop(), { class: 'file', title: card.file }));
  return node;
}

function drawImages(errors) {
  for (const kind of ['alarms', 'misses']) {
    const cards = errors[kind].map((card) => imageCard(card, kind));
    byId(kind).replaceChildren(...(cards.length ? cards : [element('p', 'None to show.')]));
  }
  const hasAttention = [...errors.alarms, ...errors.misses].some((card) => card.attention);
  for (const node of document.querySelectorAll('.attention-hint')) {
    node.textContent = hasAttention
      ? 'The overlay is where the head looked for the class, over what the network saw.' : '';
  }
}

// Which classes are taken for each other, in words and numbers.

function describeMixUps({ mixUps: mix }) {
  const intro = document.getElementById('mix-intro');
  if (!mix.pairs.length) {
    intro.textContent = `At a threshold of ${mix.thr}, no class is missed together with a false alarm of another more ` +
      'often than chance gives (and on two images at least).';
    document.getElementById('mix').hidden = true;
    return;
  }
  intro.textContent = `Images on which one class is missed while another, which is not there, is reported; at a ` +
    `threshold of ${mix.thr}, whatever the slider says. By chance: as many as there would be if the two mistakes came ` +
    `independently, on the images that show the one and not the other. Ordered by what is above that. ` +
    `${mix.candidates[0]} missed and ${mix.candidates[1]} falsely reported classes were paired.`;
  const table = document.getElementById('pairs');
  const head = element('tr');
  for (const name of ['Missed', 'Reported', 'Images', 'By chance']) head.append(element('th', name, { scope: 'col' }));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...mix.pairs.map((pair) => {
    const line = element('tr');
    line.append(element('th', pair.missed, { scope: 'row' }), element('td', pair.reported, { class: 'text' }),
      element('td', String(pair.count)), element('td', pair.expected.toFixed(1)));
    return line;
  }));
}

// Which classes are taken for each other, in words and numbers.

function describeConfusions({ confusions }) {
  const intro = byId('confusions-intro');
  if (!confusions.pairs.length) {
    intro.textContent = `At a threshold of ${confusions.thr}, no class is missed together with a false alarm of another more ` +
      'often than chance gives (and on two images at least).';
    byId('confusions').hidden = true;
    return;
  }
  byId('confusions').hidden = false;
  intro.textContent = `Images on which one class is missed while another, which is not there, is reported; at a ` +
    `threshold of ${confusions.thr}, whatever the slider says. By chance: as many as there would be if the two errors came ` +
    `independently, on the images that show the one and not the other. Ordered by what is above that. ` +
    `${confusions.candidates[0]} missed and ${confusions.candidates[1]} falsely reported classes were paired.`;
  const table = byId('pairs');
  setColumns(table, ['Missed', 'Reported', 'Images', 'By chance']);
  table.tBodies[0].replaceChildren(...confusions.pairs.map((pair) => {
    const line = element('tr');
    line.append(element('th', pair.missed, { scope: 'row' }), element('td', pair.reported, { class: 'text' }),
      element('td', String(pair.count)), element('td', pair.expected.toFixed(1)));
    return line;
  }));
}

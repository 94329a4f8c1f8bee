'use strict';

const page = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);

/** Make an element with text, which is never read as HTML. */
function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text != null) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Set the titles of the columns of a table. */
function setColumns(table, names) {
  const line = element('tr');
  line.append(...names.map((name) => element('th', name, { scope: 'col' })));
  table.tHead.replaceChildren(line);
}

/** Fill what all pages have: titles, notes, the foot, and facts, which are pairs of name and value. */
function fillFrame(facts) {
  document.title = `${page.title} – ${document.title}`;
  byId('title').textContent = page.title;
  for (const [name, value] of facts) byId('facts').append(element('dt', name), element('dd', value));
  for (const note of page.notes) byId('notes').append(element('li', note));
  byId('footer').textContent = `Made by mmpretrain_mldecoder ${page.version}.`;
}

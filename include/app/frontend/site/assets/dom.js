// Makes elements and brings the page up to date without replacing what stays: focus, scroll and selection survive.
// Text goes in as text only, so nothing that the API says can become markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Make an element.
 * @param {object|null} attributes null, undefined and false leave one out; `vars` sets CSS custom properties
 *   (a style attribute would be refused by our own Content-Security-Policy).
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'vars') for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A drawing out of the sprite in index.html; for the eye only. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Make the children of a parent look like those wanted, keeping elements of the same data-key. */
export function update(parent, ...wanted) {
  const next = wanted.flat(Infinity).filter((node) => node !== null && node !== undefined && node !== false);
  updateChildren(parent, next.map((node) => (typeof node === 'string' ? document.createTextNode(node) : node)));
}

function updateChildren(parent, wanted) {
  const stays = new Set(wanted.map(keyOf).filter(Boolean));
  const kept = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key && !stays.has(key)) child.remove();
    else if (key) kept.set(key, child);
  }
  let place = parent.firstChild;
  for (const want of wanted) {
    const key = keyOf(want);
    const have = key ? kept.get(key) : place && !keyOf(place) ? place : null;
    if (!have || have.nodeName !== want.nodeName) {
      parent.insertBefore(want, place);
      continue;
    }
    if (have === place) place = place.nextSibling;
    else parent.insertBefore(have, place);
    updateNode(have, want);
  }
  while (place) {
    const following = place.nextSibling;
    place.remove();
    place = following;
  }
}

function updateNode(have, want) {
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name } of [...have.attributes]) {
    if (name !== 'style' && !want.hasAttribute(name)) have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) {
    if (name !== 'style' && have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  for (const name of want.style) have.style.setProperty(name, want.style.getPropertyValue(name));
  updateChildren(have, [...want.childNodes]);
}

function keyOf(node) {
  return node.dataset?.key;
}

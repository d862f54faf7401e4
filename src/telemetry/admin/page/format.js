// Numbers as people read them: three digits, a prefix, a unit. A value that is not there is a dash.

const THIN = '\u202f';
const NONE = '–';

/** Three digits of a number below a thousand, or those with the prefix that brings it below. */
function scaled(number, units, step = 1000) {
  let rest = number;
  let at = 0;
  while (Number(rest.toPrecision(3)) >= step && at < units.length - 1) {
    rest /= step;
    at += 1;
  }
  const digits = rest >= 1000 ? rest.toFixed(0) : rest.toPrecision(3);
  return [rest === 0 ? '0' : digits, units[at]];
}

const given = (number) => typeof number === 'number' && Number.isFinite(number);
const joined = ([digits, unit]) => (unit ? digits + THIN + unit : digits);

/** How each kind of figure is written. */
const AS = {
  count(number) {
    if (Number.isInteger(number) && number < 1e4) return number.toLocaleString('en');
    return joined(scaled(number, ['', 'k', 'M', 'G', 'T']));
  },
  rate: (number) => joined(scaled(number, ['/s', 'k/s', 'M/s', 'G/s'])),
  time: (us) => joined(scaled(us, ['µs', 'ms', 's'])),
  bytes: (bytes) => joined(scaled(bytes, ['B', 'kB', 'MB', 'GB', 'TB'])),
  byteRate: (bytes) => joined(scaled(bytes, ['B/s', 'kB/s', 'MB/s', 'GB/s'])),
  share: (share) => Math.round(share * 100) + THIN + '%',
  times: (number) => scaled(number, ['', 'k', 'M']).join('') + THIN + '×',
  ratio: (number) => number.toFixed(2),
  duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
    const first = Math.max(0, parts.findIndex(([length]) => whole >= length));
    if (whole === 0) return '0' + THIN + 's';
    return parts
      .slice(first, first + 2)
      .map(([length, unit], at) => Math.floor((at === 0 ? whole : whole % parts[first][0]) / length) + THIN + unit)
      .join(' ');
  },
};

/** A figure as text. */
const write = (value, as) => (given(value) ? AS[as](value) : NONE);

const clockTime = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const clock = (unixMs) => clockTime.format(new Date(unixMs));

/** Sets text only where it is another, so that neither a selection nor a screen reader loses its place. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A figure with its exact value beside the written one. */
function show(node, value, as) {
  say(node, write(value, as));
  const exact = given(value) ? String(value) : '';
  if (node.value !== exact) node.value = exact;
}

/** Makes an element of the page. */
function make(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/** Makes an element of a drawing. */
function draw(name, attributes = {}, ...children) {
  return dress(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function dress(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Gives a list as many children as there are items, keeps those that are there, and fills each. */
function keep(list, items, begin, fill) {
  while (list.children.length > items.length) list.lastElementChild.remove();
  items.forEach((item, at) => {
    if (!list.children[at]) list.append(begin());
    fill(list.children[at], item, at);
  });
}

// A chart of the last minutes: lines over time, with the values of any moment by pointer or keys, as text, and as a table.

const SPAN_MS = 5 * 60 * 1000;
/** Two points further apart than this are not joined: nobody looked in between. */
const GAP_MS = 25 * 1000;
const MARGIN = { left: 52, right: 10, top: 20, bottom: 22 };
/** What an axis of times spans before there are any, in µs. */
const NO_TIMES = [10, 10000];
/** Rows of a chart's table. */
const MOST_ROWS = 30;

/** Ticks from zero in steps of 1, 2 or 5 times a power of ten; whole ones where only those make sense. */
function evenTicks(most, whole) {
  const rough = Math.max(most, whole ? 4 : 0) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * [1, 2, 5, 10].find((times) => times * power >= rough * 0.999);
  if (whole) step = Math.max(1, step);
  const ticks = [0];
  while (ticks.at(-1) < most * 0.999 || ticks.length < 2) ticks.push(ticks.length * step);
  return ticks;
}

/** Ticks at 1, 2 and 5, or at powers of ten where those would be too many. */
function logTicks(least, most) {
  const all = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power += 1) {
    for (const times of [1, 2, 5]) all.push(times * 10 ** power);
  }
  const from = all.findLastIndex((tick) => tick <= least * 1.001);
  const to = all.findIndex((tick) => tick >= most * 0.999);
  let ticks = all.slice(Math.max(0, from), to + 1);
  if (ticks.length < 2) ticks = all.slice(Math.max(0, from), to + 2);
  if (ticks.length > 6) {
    const tens = ticks.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-6);
    return [ticks[0], ...tens.filter((tick) => tick > ticks[0] * 2 && tick < ticks.at(-1) / 2), ticks.at(-1)];
  }
  return ticks;
}

class Chart {
  /** Builds it in a figure. `about`: title, unit, as, log, whole, lines of { name, mark, of, area, step }. */
  constructor(figure, about) {
    this.about = about;
    this.points = [];
    this.chosen = null;
    this.svg = draw('svg', { role: 'img', 'aria-label': `${about.title}: no history yet` });
    this.slider = make('input', { type: 'range', min: 0, max: 0, step: 1, 'aria-label': `${about.title}: look at a moment` });
    this.plot = make('div', { class: 'plot' }, this.svg, this.slider);
    this.readout = make('p', { class: 'readout' });
    this.table = make('table', {}, make('thead', {}, this.head()), make('tbody'));
    const scroll = make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `${about.title}: values` }, this.table);
    this.details = make('details', {}, make('summary', {}, 'Values as a table'), scroll);
    figure.append(this.legend(), this.plot, this.readout, this.details);
    this.listen();
  }

  legend() {
    const swatch = ({ mark, name }) => {
      const line = draw('path', { d: 'M0 5h26', class: `line ${mark}` });
      return make('span', {}, draw('svg', { 'aria-hidden': 'true' }, line), name);
    };
    return make('figcaption', { class: 'legend' }, ...this.about.lines.map(swatch));
  }

  head() {
    const names = ['Time', ...this.about.lines.map((line) => line.name)];
    return make('tr', {}, ...names.map((name) => make('th', { scope: 'col' }, name)));
  }

  listen() {
    const at = (event) => this.choose(this.nearest(event.clientX - this.plot.getBoundingClientRect().left));
    this.plot.addEventListener('pointermove', at);
    this.plot.addEventListener('pointerdown', at);
    this.plot.addEventListener('pointerleave', () => this.choose(null));
    this.slider.addEventListener('focus', () => this.choose(null));
    this.slider.addEventListener('blur', () => this.choose(null));
    this.slider.addEventListener('input', () => this.choose(this.points[Number(this.slider.value)]?.at_unix_ms ?? null));
    this.slider.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.slider.blur(); });
    this.details.addEventListener('toggle', () => this.fillTable());
    new ResizeObserver(() => this.paint()).observe(this.plot);
  }

  /** Takes a history, oldest first. */
  update(history, now) {
    this.now = now;
    this.points = history.filter((point) => point.at_unix_ms > now - SPAN_MS && point.at_unix_ms <= now);
    this.paint();
    this.fillTable();
  }

  /** The time of the point that lies nearest to a place in the plot; none where nothing lies near. */
  nearest(x) {
    let best = null;
    for (const { at_unix_ms: time } of this.points) {
      if (best === null || Math.abs(this.x(time) - x) < Math.abs(this.x(best) - x)) best = time;
    }
    return best;
  }

  choose(time) {
    this.chosen = time;
    this.paint();
  }

  x(time) {
    return MARGIN.left + (this.width - MARGIN.left - MARGIN.right) * (1 - (this.now - time) / SPAN_MS);
  }

  y(value) {
    const [least, most] = [this.ticks[0], this.ticks.at(-1)];
    const part = this.about.log ? Math.log(Math.max(value, least) / least) / Math.log(most / least) : (value - least) / (most - least);
    return this.height - MARGIN.bottom - (this.height - MARGIN.top - MARGIN.bottom) * Math.min(1, part);
  }

  paint() {
    const { width, height } = this.plot.getBoundingClientRect();
    if (!width || this.now === undefined) return;
    Object.assign(this, { width, height });
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const values = this.points.flatMap((point) => this.about.lines.map((line) => line.of(point))).filter(given);
    const some = values.filter((value) => !this.about.log || value > 0);
    const most = Math.max(0, ...some);
    this.ticks = this.about.log ? logTicks(...(some.length ? [Math.min(...some), most] : NO_TIMES)) : evenTicks(most || 1, this.about.whole);
    this.svg.replaceChildren(...this.axes(), ...this.about.lines.flatMap((line) => this.line(line)), ...this.cross());
    this.describe();
  }

  axes() {
    const right = this.width - MARGIN.right;
    const bottom = this.height - MARGIN.bottom;
    const nodes = [draw('text', { x: 0, y: 11 }, this.about.unit)];
    for (const tick of this.ticks) {
      const y = this.y(tick);
      nodes.push(draw('path', { class: tick ? 'grid' : 'axis', d: `M${MARGIN.left} ${y}H${right}` }));
      nodes.push(draw('text', { x: MARGIN.left - 6, y: y + 4, 'text-anchor': 'end' }, axisText(tick, this.about.as)));
    }
    for (const minutes of this.width < 420 ? [5, 3, 1, 0] : [5, 4, 3, 2, 1, 0]) {
      const x = this.x(this.now - minutes * 60000);
      nodes.push(draw('path', { class: 'axis', d: `M${x} ${bottom}v4` }));
      const [anchor, words] = { 5: ['start', '5 min ago'], 0: ['end', 'now'] }[minutes] ?? ['middle', `${minutes} min`];
      nodes.push(draw('text', { x, y: this.height - 4, 'text-anchor': anchor }, words));
    }
    if (!this.points.length) nodes.push(draw('text', { x: MARGIN.left + 8, y: bottom - 8 }, 'no history yet'));
    return nodes;
  }

  /** A line is broken where nothing was measured; with `area` what lies below it is tinted. */
  line({ mark, of, area, step }) {
    const runs = [];
    let before = null;
    for (const point of this.points) {
      const value = of(point);
      if (!given(value)) {
        before = null;
        continue;
      }
      const place = [this.x(point.at_unix_ms).toFixed(1), this.y(value).toFixed(1)];
      if (before === null || point.at_unix_ms - before > GAP_MS) runs.push([place]);
      else runs.at(-1).push(place);
      before = point.at_unix_ms;
    }
    const base = this.height - MARGIN.bottom;
    return runs.flatMap((run) => {
      const rest = run.slice(1).map(([x, y]) => (step ? `H${x}V${y}` : `L${x} ${y}`)).join('');
      const path = `M${run[0].join(' ')}${rest || 'h.1'}`;
      const line = draw('path', { class: `line ${mark}`, d: path });
      return area ? [draw('path', { class: 'area', d: `${path}V${base}H${run[0][0]}Z` }), line] : [line];
    });
  }

  cross() {
    const point = this.point();
    if (!point) return [];
    const x = this.x(point.at_unix_ms).toFixed(1);
    const nodes = [draw('path', { class: 'cross', d: `M${x} ${MARGIN.top}V${this.height - MARGIN.bottom}` })];
    for (const { mark, of } of this.about.lines) {
      if (given(of(point))) nodes.push(draw('circle', { class: `dot ${mark}`, cx: x, cy: this.y(of(point)).toFixed(1), r: 4 }));
    }
    return nodes;
  }

  /** The point that is looked at, also after newer ones have come; with the focus and without a choice the newest. */
  point() {
    if (this.chosen === null) return (document.activeElement === this.slider && this.points.at(-1)) || null;
    return this.points.find((point) => point.at_unix_ms >= this.chosen) ?? null;
  }

  /** The values of a moment in words. */
  words(point) {
    const ago = Math.max(0, Math.round((this.now - point.at_unix_ms) / 1000));
    const values = this.about.lines.map(({ name, of }) => `${name} ${write(of(point), this.about.as)}`);
    return [`${clock(point.at_unix_ms)}, ${ago} s ago`, values.join(', ')];
  }

  describe() {
    const range = ({ name, of }) => {
      const values = this.points.map(of).filter(given);
      if (!values.length) return [`${name}: nothing measured`, ''];
      const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => write(value, this.about.as));
      return [`${name} ${least === most ? least : `${least} to ${most}`}`, `, last ${write(values.at(-1), this.about.as)}`];
    };
    const ranges = this.about.lines.map(range);
    const label = `${this.about.title}, ${this.about.unit}, over the last five minutes: ${ranges.map((both) => both.join('')).join('; ')}.`;
    this.svg.setAttribute('aria-label', label);
    const point = this.point();
    const looked = point ?? this.points.at(-1);
    this.slider.max = Math.max(0, this.points.length - 1);
    this.slider.value = looked ? this.points.indexOf(looked) : 0;
    const [when, what] = looked ? this.words(looked) : ['no history yet', ''];
    this.slider.setAttribute('aria-valuetext', `${when}: ${what}`);
    if (point) this.readout.replaceChildren(`${when}: `, make('strong', {}, what));
    else say(this.readout, this.points.length ? ranges.map(([words]) => words).join('; ') : 'The history begins when somebody looks.');
  }

  fillTable() {
    if (!this.details.open) return;
    const every = Math.max(1, Math.ceil(this.points.length / MOST_ROWS));
    const rows = this.points.toReversed().filter((_, at) => at % every === 0);
    const begin = () => make('tr', {}, make('th', { scope: 'row' }), ...this.about.lines.map(() => make('td')));
    keep(this.table.tBodies[0], rows, begin, (row, point) => {
      say(row.cells[0], clock(point.at_unix_ms));
      this.about.lines.forEach(({ of }, at) => say(row.cells[at + 1], write(of(point), this.about.as)));
    });
  }
}

/** A tick: as the figure, without digits that say nothing. */
function axisText(tick, as) {
  return tick === 0 ? '0' : write(tick, as).replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '').replace('/s', '').trim();
}

// The page: asks for the status each second while somebody looks, and shows it.

/** The version of the status that this page reads. */
const VERSION = 1;
const EVERY_MS = 1000;
/** What an answer may take. */
const PATIENCE_MS = 4000;
/** The longest rest between two tries while the service is away. */
const MOST_REST_MS = 10000;

const CHARTS = {
  throughput: {
    title: 'Throughput', unit: 'requests a second', as: 'rate',
    lines: [{ name: 'answered', mark: 'first', of: (point) => point.requests, area: true }],
  },
  latency: {
    title: 'Latency', unit: 'time to the answer, log scale', as: 'time', log: true,
    lines: [
      { name: 'p50', mark: 'first', of: (point) => point.p50_us },
      { name: 'p99', mark: 'second', of: (point) => point.p99_us },
    ],
  },
  wait: {
    title: 'Wait against work', unit: 'mean time a request, log scale', as: 'time', log: true,
    lines: [
      { name: 'work', mark: 'first', of: (point) => point.work_us },
      { name: 'wait', mark: 'second', of: (point) => point.wait_us },
    ],
  },
  pool: {
    title: 'Pool', unit: 'database connections, requests', as: 'count', whole: true,
    lines: [
      { name: 'in use', mark: 'first', of: (point) => point.pool_in_use, area: true, step: true },
      { name: 'requests waiting', mark: 'second', of: (point) => point.pool_waiting },
      { name: 'there may be', mark: 'limit', of: (point) => point.pool_max_size, step: true },
    ],
  },
  errors: {
    title: 'Errors', unit: '5xx answers a second', as: 'rate',
    lines: [{ name: 'errors', mark: 'second', of: (point) => point.errors }],
  },
  connections: {
    title: 'Connections of a worker', unit: 'open connections of a worker', as: 'count', whole: true,
    lines: [
      { name: 'most', mark: 'first', of: (point) => (point.open_by_worker.length ? Math.max(...point.open_by_worker) : null), area: true },
      { name: 'fewest', mark: 'second', of: (point) => (point.open_by_worker.length ? Math.min(...point.open_by_worker) : null) },
    ],
  },
};

const charts = [...document.querySelectorAll('[data-chart]')].map((figure) => [figure.dataset.chart, new Chart(figure, CHARTS[figure.dataset.chart])]);
const figures = [...document.querySelectorAll('[data-figure]')];
const pick = (status, path) => path.split('.').reduce((value, key) => value?.[key], status);

let last = null;
let ready = null;

function render(status) {
  last = { ...status, derived: derive(status) };
  for (const node of figures) show(node, pick(last, node.dataset.figure), node.dataset.as);
  for (const [, chart] of charts) chart.update(status.history, status.at_unix_ms);
  paintScale(last);
  say(at('implied'), explainWait(last));
  fillBars(last);
  fillHosts(last);
  fillWorkers(last);
  fillFailures(last);
  fillService(last);
  showReady(last);
  say(at('at'), clock(status.at_unix_ms));
  document.title = `${write(status.recent.requests, 'rate')} – Plimsoll`;
  // Last, so that whoever reads the page knows of which moment all of it is.
  document.documentElement.dataset.at = status.at_unix_ms;
}

function showReady({ ready: is, not_ready: reasons }) {
  const words = is ? 'ready' : 'not ready';
  say(at('ready'), words);
  at('ready').dataset.state = is ? 'ready' : 'not-ready';
  at('reasons').hidden = is;
  keep(at('reasons').firstElementChild, reasons, () => make('li'), say);
  if (ready !== null && ready !== is) announce(is ? 'The service is ready.' : `The service is not ready: ${reasons.join('; ')}`);
  ready = is;
}

/** Tells those who cannot see it; for changes only. */
const announce = (words) => say(at('news'), words);

const link = {
  failures: 0,
  since: null,
  next: null,
  why: '',
  ticking: null,

  up() {
    if (this.failures) announce('The service answers again.');
    this.failures = 0;
    clearInterval(this.ticking);
    this.ticking = null;
    document.documentElement.classList.remove('stale');
    at('link').dataset.state = 'live';
    say(at('link'), 'asks each second');
  },

  down(why) {
    this.why = why;
    this.failures += 1;
    if (this.failures === 1) {
      this.since = Date.now();
      announce(`The service is away: ${why}. This page goes on trying.`);
      this.ticking = setInterval(() => this.tell(), EVERY_MS);
    }
    const rest = Math.min(MOST_REST_MS, EVERY_MS * 2 ** (this.failures - 1));
    this.next = Date.now() + rest;
    document.documentElement.classList.add('stale');
    document.title = 'away – Plimsoll';
    at('link').dataset.state = 'away';
    this.tell();
    return rest;
  },

  tell() {
    const away = AS.duration((Date.now() - this.since) / 1000);
    const left = Math.max(0, Math.ceil((this.next - Date.now()) / 1000));
    say(at('link'), `away for ${away} (${this.why}); ${left ? `tries again in ${left} s` : 'trying'}`);
  },
};

/** The status, or why there is none. */
async function fetchStatus() {
  const response = await fetch('status.json', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  const status = await response.json();
  if (status.version !== VERSION) throw new Error(`its status has version ${status.version}, not ${VERSION}: load this page again`);
  return status;
}

function reasonOf(error) {
  if (error.name === 'TimeoutError') return `no answer in ${PATIENCE_MS / 1000} s`;
  if (error instanceof TypeError) return 'no connection';
  return error.message;
}

let timer = null;
let asking = false;

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  clearTimeout(timer);
  const begun = performance.now();
  let status = null;
  let rest = 0;
  try {
    status = await fetchStatus();
    link.up();
    rest = Math.max(0, EVERY_MS - (performance.now() - begun));
  } catch (error) {
    rest = link.down(reasonOf(error));
  }
  asking = false;
  if (!document.hidden) timer = setTimeout(ask, rest);
  if (status) render(status);
}

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer);
  ask();
});
new ResizeObserver(() => { if (last) paintScale(last); }).observe(at('scale'));
ask();

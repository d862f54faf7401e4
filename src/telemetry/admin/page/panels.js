// What is shown besides the charts: the scale of the multiplier, the bars, the tables, and what follows in words.

/** Workers shown one by one. */
const MOST_BARS = 32;
const MOST_WORKERS = 128;
/** What the documents' rule says: so many connections for each core. */
const RULE = [3, 6];

const at = (id) => document.getElementById(id);
const plural = (count, one, many = `${one}s`) => `${AS.count(count)} ${count === 1 ? one : many}`;
const connections = (count) => plural(count, 'connection');
const each = (number) => (number < 100 ? number.toFixed(1) : AS.count(Math.round(number)));

/** Every worker with its name: `worker 1`, `process 0` where each process has one, else both numbers. */
function workersOf({ processes }) {
  const name = processes.length === 1 ? (_, worker) => `worker ${worker.index}`
    : processes.every(({ workers }) => workers.length === 1) ? (process) => `process ${process.index}`
      : (process, worker) => `process ${process.index}, worker ${worker.index}`;
  return processes.flatMap((process) => process.workers.map((worker) => ({ worker, name: name(process, worker) })));
}

const inUse = (pool) => Math.max(0, pool.size - pool.available);
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);
const answered = (totals, ...classes) =>
  sum(Object.values(totals.answered).flatMap((by) => classes.map((one) => by[one] ?? 0)));

/** What the page works out itself. */
function derive(status) {
  return {
    requests: answered(status.totals, '1xx', '2xx', '3xx', '4xx', '5xx'),
    in_use: inUse(status.now.pool),
    deepest: Math.max(0, ...status.now.pool.lanes),
    held_each: status.now.pool.max_size / status.service.cores,
  };
}

/** Where the scale's line lies, and what is drawn around it. */
const SCALE = { height: 118, band: 42, line: 70, edge: 6 };

/** Where the multiplier and the pool in force lie, from 1 connection for each core on, beside the rule. */
function paintScale({ implied, derived }) {
  const { width } = at('scale').getBoundingClientRect();
  if (width < 60) return;
  const [needed, held] = [implied?.multiplier, derived.held_each];
  const values = [needed, held].filter((value) => given(value) && value > 0);
  const [least, most] = [Math.min(1, ...values), Math.max(12, ...values.map((value) => value * 1.25))];
  const x = (value) => SCALE.edge + ((width - 2 * SCALE.edge) * Math.log(value / least)) / Math.log(most / least);
  const middle = (x(RULE[0]) + x(RULE[1])) / 2;
  const nodes = [
    draw('rect', { class: 'rule', x: x(RULE[0]), y: SCALE.band, width: x(RULE[1]) - x(RULE[0]), height: SCALE.line - SCALE.band }),
    draw('path', { class: 'ink', d: `M${SCALE.edge} ${SCALE.line}H${width - SCALE.edge}` }),
    draw('text', { x: 0, y: 11 }, 'connections for each core, log scale'),
    ...scaleTicks(x, least, most, held),
    ...scaleMark(x(held), 'held', `in force ${each(held)}`, width),
  ];
  if (x(RULE[1]) - x(RULE[0]) > 50) nodes.push(draw('text', { x: middle, y: SCALE.line - 9, 'text-anchor': 'middle' }, 'the rule'));
  if (given(needed)) nodes.push(...scaleMark(x(needed), 'needed', `implied ${each(needed)}`, width));
  at('scale').replaceChildren(draw('svg', { viewBox: `0 0 ${width} ${SCALE.height}`, 'aria-hidden': 'true' }, ...nodes));
  const words = given(needed) ? `implied are ${each(needed)}` : 'nothing is implied yet';
  at('scale').setAttribute('aria-label', `Connections for each core: ${words}, in force are ${each(held)}, the rule says 3 to 6`);
}

function scaleTicks(x, least, most, held) {
  const nodes = [];
  let before = -Infinity;
  // The rule's bounds first, others where there is room between them.
  for (const tick of [1, 3, 6, 12, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]) {
    if (tick < least || tick > most) continue;
    nodes.push(draw('path', { class: 'ink', d: `M${x(tick)} ${SCALE.line}v5` }));
    if (x(tick) - before < 24 || Math.abs(x(tick) - x(held)) < 10) continue;
    before = x(tick);
    nodes.push(draw('text', { x: x(tick), y: SCALE.line + 18, 'text-anchor': 'middle' }, AS.count(tick)));
  }
  return nodes;
}

/** A mark on the scale: what is implied from above with a triangle, what is in force from below with a disc. */
function scaleMark(x, kind, words, width) {
  if (!given(x)) return [];
  const anchor = x > width * 0.75 ? 'end' : x < width * 0.25 ? 'start' : 'middle';
  const [y, from] = kind === 'needed' ? [SCALE.band - 8, SCALE.band - 4] : [SCALE.line + 40, SCALE.line + 22];
  const head = kind === 'needed' ? draw('path', { class: kind, d: `M${x} ${SCALE.line - 1}l-5 -9h10Z` })
    : draw('circle', { class: kind, cx: x, cy: SCALE.line, r: 5 });
  return [
    draw('path', { class: `stem ${kind}`, d: `M${x} ${from}V${SCALE.line}` }),
    head,
    draw('text', { class: 'label', x: anchor === 'end' ? x + 5 : anchor === 'start' ? x - 5 : x, y, 'text-anchor': anchor }, words),
  ];
}

/** What the wait implies, in words. */
function explainWait({ implied, recent, now, service, derived }) {
  if (!implied) return 'No request asked the database lately: nothing follows.';
  const cores = plural(service.cores, 'core');
  const rule = implied.multiplier < RULE[0] ? 'below 3: a smaller pool than the rule’s keeps the cores busy'
    : implied.multiplier <= RULE[1] ? 'within 3 to 6, as the rule presumes'
      : 'above 6: with a connection for each request, the rule’s 3 to 6 leave cores idle';
  const words = [
    `A request works for ${write(recent.cpu_us, 'time')} and waits for PostgreSQL for ${write(recent.database.mean_us, 'time')}.`,
    `With a connection for each request, 1 + ${each(implied.wait_to_work)} = ${each(implied.multiplier)} for each core keep`,
    `${cores} busy (Little’s law): ${connections(implied.connections)}, ${rule}.`,
    `In force are ${AS.count(now.pool.max_size)}, ${each(derived.held_each)} for each core.`,
  ];
  if (service.dispatch === 'pipelined') words.push('Requests share connections here (--dispatch pipelined), so that fewer do.');
  return words.join(' ');
}

/** A bar for each worker: awake connections solid, parked ones hatched. */
function fillBars(status) {
  const workers = workersOf(status);
  const most = Math.max(1, ...workers.map(({ worker }) => worker.open));
  const begin = () => make('li', {}, make('span'),
    make('span', { class: 'bar', 'aria-hidden': 'true' }, make('i', { class: 'busy' }), make('i', { class: 'parked' })), make('span'));
  keep(at('bars'), workers.slice(0, MOST_BARS), begin, (row, { worker, name }) => {
    const [label, bar, text] = row.children;
    say(label, name);
    const parked = Math.min(worker.parked, worker.open);
    [worker.open - parked, parked].forEach((part, index) => {
      bar.children[index].style.width = `${(100 * part) / most}%`;
    });
    say(text, `${AS.count(worker.open)} open, ${AS.count(worker.parked)} parked`);
  });
  const rest = workers.slice(MOST_BARS);
  at('more-bars').hidden = !rest.length;
  say(at('more-bars'), `and ${plural(rest.length, 'worker')} more with ${AS.count(sum(rest.map(({ worker }) => worker.open)))} open`);
  say(at('skew'), status.accept_skew.meaning);
}

/** A row of the table of workers: [text] or [value, as]. */
function cellsOf(worker) {
  const { recent, pool } = worker;
  return [[recent.busy, 'share'], [recent.cpu, 'share'], [worker.open, 'count'], [worker.parked, 'count'], [worker.requests, 'count'],
    [recent.requests, 'rate'], [inUse(pool), 'count'], [pool.available, 'count'], [pool.waiting, 'count'],
    [recent.request.p50_us, 'time'], [recent.request.p99_us, 'time'], [worker.errors, 'count']];
}

function aboutProcess(process) {
  const words = [`process ${process.index}`, `pid ${process.pid}`];
  if (given(process.resident_bytes)) words.push(write(process.resident_bytes, 'bytes'));
  if (process.workers.length > 1) words.push(`room for ${connections(process.max_connections)}`);
  if (process.draining) words.push('draining');
  return words.join(', ');
}

/** The lines of the table: each process and each of its workers, or both in one where there is one worker. */
function linesOf(process) {
  if (process.workers.length === 1) return [{ name: aboutProcess(process), worker: process.workers[0] }];
  return [{ name: aboutProcess(process) }, ...process.workers.map((worker) => ({ name: `worker ${worker.index}`, worker }))];
}

function fillWorkers(status) {
  const rows = status.processes.flatMap(linesOf);
  const width = at('workers').tHead.rows[0].cells.length;
  keep(at('workers').tBodies[0], rows.slice(0, MOST_WORKERS), () => make('tr'), (row, { name, worker }) => {
    const kind = worker ? 'worker' : 'process';
    if (row.className !== kind) {
      row.className = kind;
      const head = make('th', worker ? { scope: 'row' } : { scope: 'rowgroup', colspan: width });
      row.replaceChildren(head, ...(worker ? Array.from({ length: width - 1 }, () => make('td')) : []));
    }
    say(row.cells[0], name);
    if (worker) cellsOf(worker).forEach(([value, as], index) => say(row.cells[index + 1], write(value, as)));
  });
  at('more-workers').hidden = rows.length <= MOST_WORKERS;
  say(at('more-workers'), `and ${rows.length - MOST_WORKERS} lines more: see plimsoll status`);
  const all = { ...status.now, recent: status.recent, requests: status.derived.requests, errors: answered(status.totals, '5xx') };
  const begin = () => make('tr', {}, make('th', { scope: 'row' }, 'all'), ...cellsOf(all).map(() => make('td')));
  keep(at('workers').tFoot, [all], begin, (row) => {
    cellsOf(all).forEach(([value, as], index) => say(row.cells[index + 1], write(value, as)));
  });
}

/** In which state a server is: one that takes writes is there or not; one that is read from may be there and be left out. */
function stateOf({ in_use, side }) {
  if (in_use) return 'in use';
  return side === 'writes' ? 'away' : 'left out';
}

const writeLag = (ms) => (given(ms) ? AS.time(ms * 1000) : NONE);

/** The database's servers, where reads go to others than writes: what each is, how far behind, and how much it is used. */
function fillHosts({ hosts = [], now }) {
  at('hosts-card').hidden = !hosts.length;
  const reads = hosts.filter(({ side }) => side === 'reads');
  const used = reads.filter(({ in_use }) => in_use);
  say(at('hosts-summary'), `${used.length} of ${plural(reads.length, 'host')} in use for reads`);
  const width = at('hosts').tHead.rows[0].cells.length;
  const begin = () => make('tr', {}, make('th', { scope: 'row' }), ...Array.from({ length: width - 1 }, () => make('td')));
  keep(at('hosts').tBodies[0], hosts, begin, (row, host) => {
    const cells = [host.at, host.side, host.role ?? NONE, stateOf(host), writeLag(host.lag_ms), write(host.open, 'count'),
      write(host.served, 'count'), write(host.served_rate, 'rate')];
    cells.forEach((text, index) => say(row.cells[index], text));
    row.cells[3].dataset.tone = host.in_use ? '' : 'bad';
  });
  const left = hosts.filter(({ left_out }) => left_out);
  at('left-out').hidden = !left.length;
  keep(at('left-out'), left, () => make('li'), (line, host) => say(line, `${host.at} is ${stateOf(host)}: ${host.left_out}`));
  const pool = now.reads ?? { max_size: 0, size: 0, available: 0, waiting: 0 };
  fillFacts(at('read-pool'), [
    ['Connections for reads', AS.count(pool.max_size)],
    ['Open', AS.count(pool.size)],
    ['In use', AS.count(inUse(pool))],
    ['Requests waiting', AS.count(pool.waiting)],
  ]);
}

/** A list of facts: [term, text, tone]. */
function fillFacts(list, facts) {
  const begin = () => make('div', {}, make('dt'), make('dd'));
  keep(list, facts, begin, (row, [term, text, tone]) => {
    say(row.children[0], term);
    say(row.children[1], text);
    row.children[1].dataset.tone = tone ?? '';
  });
}

/** What went wrong since the start; each kind stands there also while it is zero, so that nothing moves. */
function fillFailures({ totals }) {
  const count = (term, number) => [term, AS.count(number), number > 0 ? 'bad' : ''];
  const failed = (kind) => totals.database_failures[kind] ?? 0;
  fillFacts(at('failures'), [
    count('5xx in all', answered(totals, '5xx')),
    ['4xx in all', AS.count(answered(totals, '4xx'))],
    ['Left unanswered', AS.count(totals.abandoned)],
    count('Accept errors', totals.accept_errors),
    count('Turned away full', totals.closed.full ?? 0),
    ...['unreached', 'lost', 'deadline', 'overloaded', 'refused'].map((kind) => count(`Database: ${kind}`, failed(kind))),
    ['Reconnects', AS.count(totals.reconnects)],
  ]);
}

function fillService({ service, now, totals, paused }) {
  fillFacts(at('service'), [
    ['Version', service.version],
    ['Process', `${service.pid}`],
    ['Listening on', service.listening.join(', ')],
    ['Topology', `${plural(service.processes, 'process', 'processes')}, ${plural(service.workers, 'worker')} in each`],
    ['Cores', AS.count(service.cores)],
    ['Accepts by', service.accept],
    ['Dispatch', service.dispatch],
    ['Connections accepted', AS.count(totals.accepted)],
    ['Memory', write(now.resident_bytes, 'bytes')],
  ]);
  const sizing = service.automatic ? 'The sizes follow what is measured (--pool-per-core auto)' : 'The sizes are set';
  const plan = `the plan holds ${connections(service.connections_total)} over all workers.`;
  say(at('sizing'), `${sizing}; ${plan}${paused ? ' Requests for the database are held back: plimsoll pool resume lets them go.' : ''}`);
}

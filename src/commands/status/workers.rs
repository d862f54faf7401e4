//! The table of workers: what each does, those that have ended, and all together.
//!
//! **Invariant:** requests and errors of the rows add up to those of the last one.

use crate::commands::screen::figures::{count, mebibytes, percent, rate, short_time};
use crate::commands::screen::line::Tone;
use crate::commands::screen::table::{Cell, Column, Table};
use crate::telemetry::labels::StatusClass;
use crate::telemetry::snapshot::Pool;
use crate::telemetry::status::{ProcessStatus, Rates, Status, WorkerStatus};

/// From this share on a worker has little left.
const NEARLY_ALWAYS: f64 = 0.9;

/// The columns, in the order of [`cells`].
pub(in crate::commands) const COLUMNS: [Column; 16] = [
    column(["", "process"], "process", 0),
    column(["", "pid"], "pid", 1),
    column(["", "worker"], "worker", 0),
    column(["cpu", "%"], "cpu", 8),
    column(["memory", "MiB"], "memory", 2),
    column(["conns", "open"], "connections", 0),
    column(["conns", "parked"], "parked", 3),
    column(["", "requests"], "requests", 9),
    column(["", "req/s"], "requests a second", 0),
    column(["busy", "%"], "busy", 0),
    column(["pool", "use"], "pool in use", 10),
    column(["pool", "idle"], "pool idle", 5),
    column(["pool", "wait"], "pool waiting", 6),
    column(["", "p50"], "p50", 4),
    column(["", "p99"], "p99", 0),
    column(["", "errors"], "errors", 7),
];

const fn column(title: [&'static str; 2], name: &'static str, leaves: u8) -> Column {
    Column { title, name, leaves }
}

/// By what rows are put in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::commands) enum Order {
    /// Process by process.
    #[default]
    Place,
    /// The busiest first.
    Busy,
    /// The one that answers most first.
    Requests,
    /// The one with the most connections first.
    Connections,
    /// The slowest first.
    Slowest,
}

impl Order {
    /// The next one, and the first after the last.
    pub(in crate::commands) fn next(self) -> Self {
        match self {
            Self::Place => Self::Busy,
            Self::Busy => Self::Requests,
            Self::Requests => Self::Connections,
            Self::Connections => Self::Slowest,
            Self::Slowest => Self::Place,
        }
    }

    /// What comes first.
    pub(in crate::commands) fn describe(self) -> &'static str {
        match self {
            Self::Place => "by process",
            Self::Busy => "busiest first",
            Self::Requests => "most requests a second first",
            Self::Connections => "most connections first",
            Self::Slowest => "highest p99 first",
        }
    }

    fn key(self, worker: &WorkerStatus) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of connections stay far below 2^52")]
        match self {
            Self::Place => 0.0,
            Self::Busy => worker.recent.busy,
            Self::Requests => worker.recent.requests,
            Self::Connections => worker.open as f64,
            Self::Slowest => worker.recent.request.p99_us.unwrap_or(0.0),
        }
    }
}

/// What a row or a sum says, whoever it is of.
struct Figures<'a> {
    memory: Option<u64>,
    open: u64,
    parked: u64,
    requests: u64,
    errors: u64,
    pool: &'a Pool,
    recent: &'a Rates,
}

/// The table of all workers.
pub(in crate::commands) fn table(status: &Status, order: Order) -> Table<'static> {
    let of_process = |process| move |worker| (process, worker);
    let mut workers: Vec<(&ProcessStatus, &WorkerStatus)> =
        status.processes.iter().flat_map(|process| process.workers.iter().map(of_process(process))).collect();
    // A stable sort: equals stay in the order of their places.
    workers.sort_by(|(_, left), (_, right)| order.key(right).total_cmp(&order.key(left)));
    let mut rows: Vec<_> = workers.iter().map(|(process, worker)| row(process, worker)).collect();
    rows.extend(ended(status));
    Table { columns: &COLUMNS, rows, sums: vec![sum(status)] }
}

fn row(process: &ProcessStatus, worker: &WorkerStatus) -> Vec<Cell> {
    let mark = if process.draining { "*" } else { "" };
    // What a process has as a whole stands beside its first worker.
    let memory = process.resident_bytes.filter(|_| worker.index == 0);
    let place = [
        Cell::marked(format!("{}{mark}", process.index), Tone::Notable, process.draining),
        Cell::plain(process.pid.to_string()),
        Cell::plain(worker.index.to_string()),
    ];
    let figures = Figures {
        memory,
        open: worker.open,
        parked: worker.parked,
        requests: worker.requests,
        errors: worker.errors,
        pool: &worker.pool,
        recent: &worker.recent,
    };
    place.into_iter().chain(cells(&figures)).collect()
}

fn sum(status: &Status) -> Vec<Cell> {
    let workers: usize = status.processes.iter().map(|process| process.workers.len()).sum();
    let place = ["all".to_owned(), String::new(), workers.to_string()].map(Cell::plain);
    let figures = Figures {
        memory: Some(status.now.resident_bytes),
        open: status.now.open,
        parked: status.now.parked,
        requests: status.totals.requests(),
        errors: status.totals.requests_of(StatusClass::ServerError),
        pool: &status.now.pool,
        recent: &status.recent,
    };
    let strong =
        |cell: Cell| if cell.tone == Tone::Plain { Cell { tone: Tone::Strong, ..cell } } else { cell };
    place.into_iter().chain(cells(&figures)).map(strong).collect()
}

/// What processes that have ended had answered; none where that is nothing.
fn ended(status: &Status) -> Option<Vec<Cell>> {
    let workers = || status.processes.iter().flat_map(|process| &process.workers);
    let requests = status.totals.requests().saturating_sub(workers().map(|worker| worker.requests).sum());
    let errors = status.totals.requests_of(StatusClass::ServerError);
    let errors = errors.saturating_sub(workers().map(|worker| worker.errors).sum());
    let texts = COLUMNS.map(|column| match column.name {
        "process" => "ended".to_owned(),
        "requests" => requests.to_string(),
        "errors" => errors.to_string(),
        _ => String::new(),
    });
    (requests > 0).then(|| texts.map(|text| Cell { text, tone: Tone::Label }).to_vec())
}

fn cells(of: &Figures<'_>) -> [Cell; 13] {
    let Figures { pool, recent, .. } = of;
    [
        Cell::plain(percent(recent.cpu)),
        Cell::plain(of.memory.map_or_else(String::new, mebibytes)),
        Cell::plain(of.open.to_string()),
        Cell::plain(of.parked.to_string()),
        Cell::plain(of.requests.to_string()),
        Cell::plain(rate(recent.requests)),
        Cell::marked(percent(recent.busy), Tone::Notable, recent.busy >= NEARLY_ALWAYS),
        Cell::plain(pool.in_use().to_string()),
        Cell::plain(pool.available.to_string()),
        Cell::marked(pool.waiting.to_string(), Tone::Notable, pool.waiting > 0),
        Cell::plain(short_time(recent.request.p50_us)),
        Cell::plain(short_time(recent.request.p99_us)),
        Cell::marked(of.errors.to_string(), Tone::Bad, of.errors > 0),
    ]
}

/// What the marks in the table mean, where there are any.
pub(in crate::commands) fn legend(status: &Status) -> Option<String> {
    let ending = status.processes.iter().filter(|process| process.draining).count();
    (ending > 0).then(|| format!("* told to end, and finishing what is open: {}", count(ending as u64)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::busy;
    use super::*;
    use crate::commands::screen::line::render;
    use crate::telemetry::labels::Route;

    #[test]
    fn each_worker_has_a_row_and_all_together_one() {
        let laid = table(&busy(1, 2), Order::Place).lay_out(160);
        let lines = [laid.heading, laid.rows, laid.sums].concat();
        assert_eq!(
            render(&lines, false),
            "                       cpu  memory  conns   conns                   busy  pool  pool  pool\n\
             process   pid  worker    %     MiB   open  parked  requests  req/s     %   use  idle  wait   p50   p99  errors\n\
             \x20     0  5000       0  0.2    12.0     30      12      8000    200   0.4     2     1     0  45µs  45µs       1\n\
             \x20     0  5000       1  0.2             30      12      8000    200   0.4     2     1     0  45µs  45µs       0\n\
             \x20   all             2  0.4    12.0     60      24     16000    400   0.4     4     2     0  45µs  45µs       1\n"
        );
        assert_eq!(laid.left_out, [""; 0]);
    }

    #[test]
    fn eighty_columns_are_enough_for_what_matters() {
        let laid = table(&busy(58, 1), Order::Place).lay_out(80);
        assert!(laid.rows.iter().chain(&laid.sums).all(|line| line.width() <= 80));
        assert_eq!(laid.rows.len(), 58);
        assert_eq!(laid.left_out, ["pid", "memory", "parked"]);
        assert!(laid.rows[57].render(false).trim_start().starts_with("57 "), "rows stand in order");
    }

    #[test]
    fn what_processes_that_ended_answered_has_a_row_so_that_the_sum_is_right() {
        let mut status = busy(1, 2);
        assert_eq!(table(&status, Order::Place).rows.len(), 2);
        status.totals.answered[Route::Db][StatusClass::Successful] += 500;
        let rows = table(&status, Order::Place).rows;
        let text: Vec<&str> =
            rows[2].iter().map(|cell| cell.text.as_str()).filter(|text| !text.is_empty()).collect();
        assert_eq!(text, ["ended", "500", "0"]);
    }

    #[test]
    fn rows_are_put_in_order_by_what_is_asked_for() {
        let mut status = busy(3, 1);
        status.processes[1].workers[0].open = 99;
        status.processes[2].workers[0].recent.busy = 1.0;
        let first = |order| table(&status, order).rows[0][0].text.clone();
        assert_eq!(
            [Order::Place, Order::Connections, Order::Busy, Order::Requests].map(first),
            ["0", "1", "2", "0"]
        );
        let around = (0..5).fold(Order::Place, |order, _| order.next());
        assert_eq!((around, Order::Place.next().describe()), (Order::Place, "busiest first"));
    }

    #[test]
    fn a_process_that_was_told_to_end_is_marked_and_the_mark_explained() {
        let mut status = busy(2, 1);
        assert_eq!(legend(&status), None);
        status.processes[1].draining = true;
        assert_eq!(table(&status, Order::Place).rows[1][0].text, "1*");
        assert!(legend(&status).unwrap().starts_with("* told to end"));
    }
}

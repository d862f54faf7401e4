//! The processes that hold, from the side of the one that leads them.
//!
//! **Invariant:** each is in a process group of its own, so that Ctrl-C reaches the leader alone, and each is waited for.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::super::stats::Stats;
use super::message::{Order, Word};

/// How often the leader looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How long parts may take to close their connections and end.
const FAREWELL: Duration = Duration::from_secs(30);

/// One process.
struct Holder {
    child: Child,
    orders: Option<ChildStdin>,
}

/// All of them.
pub(super) struct Parts {
    holders: Vec<Holder>,
    words: Receiver<(usize, Option<Word>)>,
    /// Each part's open connections, as it last said.
    open: Vec<u64>,
}

/// What all parts counted while they carried out one order.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) stats: Stats,
    /// Connections open when it was carried out.
    pub(super) open: u64,
    /// Why not all parts carried it out, if one of them did not.
    pub(super) cut_short: Option<io::Error>,
}

/// What came since the last time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct News {
    pub(super) opened: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
}

impl Parts {
    /// Starts `count` processes of this program with these words.
    pub(super) fn start(program: &Path, words: &[&str], count: usize) -> io::Result<Self> {
        let (tell, heard) = channel();
        let mut parts = Self { holders: Vec::new(), words: heard, open: vec![0; count] };
        for number in 0..count {
            let mut child = Command::new(program)
                .args(words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()?;
            let (orders, output) = (child.stdin.take(), child.stdout.take());
            // In its place before anything else can fail, so that it is ended with the others.
            parts.holders.push(Holder { child, orders });
            let output = output.ok_or_else(|| io::Error::other("a process without an output"))?;
            let tell = tell.clone();
            thread::Builder::new()
                .name(format!("part-{number}"))
                .stack_size(128 * 1024)
                .spawn(move || hear(output, number, &tell))?;
        }
        Ok(parts)
    }

    pub(super) fn process_ids(&self) -> Vec<u32> {
        self.holders.iter().map(|holder| holder.child.id()).collect()
    }

    /// Gives each part an order. The input of one that does not take it is closed, so that it ends if it has not, of which
    /// [`Self::gather`] hears.
    pub(super) fn order(&mut self, order: impl Fn(u64) -> Order) {
        for (number, holder) in (0..).zip(&mut self.holders) {
            let write = |mut orders: &ChildStdin| {
                let mut line = serde_json::to_vec(&order(number))?;
                line.push(b'\n');
                orders.write_all(&line)
            };
            if holder.orders.as_ref().is_some_and(|orders| write(orders).is_err()) {
                holder.orders = None;
            }
        }
    }

    /// Hears all parts until each has carried its order out. `look` sees what came, often enough for a progress line, and says whether to
    /// stop. Where a part dies the others are stopped, and what they counted is given beside the reason.
    pub(super) fn gather(&mut self, look: &mut dyn FnMut(News) -> bool) -> Gathered {
        let mut gathered = Gathered::default();
        let mut waiting: BTreeSet<usize> = (0..self.holders.len()).collect();
        let mut opened = vec![0; self.holders.len()];
        let mut stopped = false;
        while !waiting.is_empty() {
            let mut news = News::default();
            match self.words.recv_timeout(LOOK) {
                Ok((number, Some(Word::Progress { opened: more, answered, failed }))) => {
                    news = News { opened: more, answered, failed };
                    opened[number] += more;
                }
                Ok((number, Some(Word::Done { stats, open }))) => {
                    gathered.stats.add(&stats);
                    self.open[number] = open;
                    waiting.remove(&number);
                }
                Ok((number, ended)) => {
                    // What it counted since its last order went with it, but for what it told on its way.
                    let unsettled = if waiting.remove(&number) { opened[number] } else { 0 };
                    gathered.stats.opened += unsettled;
                    let held = std::mem::take(&mut self.open[number]) + unsettled;
                    let why = match ended {
                        Some(Word::Failed(why)) => why,
                        _ => format!("a process that held {held} connections died"),
                    };
                    gathered.cut_short.get_or_insert_with(|| io::Error::other(why));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    gathered.cut_short.get_or_insert_with(|| io::ErrorKind::BrokenPipe.into());
                    break;
                }
            }
            if (look(news) || gathered.cut_short.is_some()) && !stopped {
                stopped = true;
                self.order(|_| Order::Stop);
            }
        }
        gathered.open = self.open.iter().sum();
        gathered
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // With its input closed a part closes its connections and ends by itself.
        for holder in &mut self.holders {
            holder.orders = None;
        }
        let deadline = Instant::now() + FAREWELL;
        let mut ended = 0;
        while ended < self.holders.len() {
            match self.words.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((_, word)) => ended += usize::from(word.is_none()),
                Err(_) => break,
            }
        }
        for holder in &mut self.holders {
            // One that has ended is not harmed, and one that has not is past its time.
            let _ = holder.child.kill();
            let _ = holder.child.wait();
        }
    }
}

/// Passes on what a part says, and its end.
fn hear(output: impl io::Read, number: usize, tell: &Sender<(usize, Option<Word>)>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let word = serde_json::from_str(&line).unwrap_or(Word::Failed(line));
        if tell.send((number, Some(word))).is_err() {
            return;
        }
    }
    let _ = tell.send((number, None));
}

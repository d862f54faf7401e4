//! How many database connections a worker should have: found by trying, one step at a time, and kept until things change.
//!
//! Requests that wait for a connection say that more might help, and nothing says whether they will: where PostgreSQL is at its own limit,
//! another connection makes each answer slower and serves nobody sooner. So the controller takes one step, looks whether a request is
//! through sooner than before, its wait for a connection included, keeps the step if it paid, and takes it back if not. Then it holds still
//! until the time that an answer takes, or the demand, is another than it was there. Where a fixed number of clients ask, sooner is more
//! a second in the same measure (Little's law); where requests come by themselves, only the time shows the queue.
//!
//! **Invariant:** pure, without clock: the size stays within its bounds, moves by two at a time at the most, and comes to rest while what
//! is measured stays the same.

/// Between what sizes it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At the least.
    pub least: u32,
    /// At the most.
    pub most: u32,
}

/// What was measured since the last look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The time over which it was measured, in seconds.
    pub within: f64,
    /// Requests that PostgreSQL answered, a second.
    pub rate: f64,
    /// The mean time for which each waited for a connection, in seconds.
    pub waited: f64,
    /// The mean time for which each held its place then, in seconds.
    pub held: f64,
    /// Whether requests waited for a connection, or all connections carried more than they should.
    pub wanting: bool,
    /// How many connections were in use on average: λW, or less where requests share them.
    pub in_use: f64,
}

/// How much sooner requests must be through for a step up to have paid: this part of what a connection more could bring at best.
const PAYS: f64 = 0.1;
/// How much of the best a smaller pool must keep.
const KEEPS: f64 = 0.97;
/// A rate or a request's time that differs by this factor is another than before.
const CHANGED: f64 = 1.4;
/// Looks that count for a verdict. Before them come one of the change itself, and as many as requests take that had queued by then.
const LOOKS_TO_JUDGE: u32 = 4;
/// Seconds for which requests that had queued are waited for, at the most.
const LONGEST_LAG: f64 = 5.0;
/// Looks in a row that must find things changed, so that no single one does.
const LOOKS_TO_BELIEVE: u32 = 3;
/// Square roots of the connections in use that are kept beside them for what comes unevenly (square-root staffing: S. Halfin, W. Whitt,
/// "Heavy-Traffic Limits for Queues with Many Exponential Servers", Operations Research 29(3), 1981).
const SPARE: f64 = 2.0;
/// Looks in a row that must find connections idle.
const LOOKS_IDLE: u32 = 4;
/// Looks after which a verdict is tried again, should things have changed too slowly to be noticed; twice as many each time that
/// nothing came of it,
const LOOKS_TO_RETRY: u32 = 240;
/// but no more than these.
const LONGEST_TO_RETRY: u32 = 60 * LOOKS_TO_RETRY;

/// What it is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Looking how the size in force does, before the first step.
    Begin,
    /// One more was given; that is the time that requests took before.
    Up { before: f64 },
    /// One was taken away; that is the shortest time since things changed.
    Down { best: f64 },
    /// At rest: the rate and the time of requests here, once they were measured.
    Hold { then: Option<(f64, f64)> },
}

/// One worker's controller.
#[derive(Debug, Clone)]
pub struct Controller {
    bounds: Bounds,
    size: u32,
    phase: Phase,
    /// Looks in this phase, and the time that they took.
    looks: u32,
    elapsed: f64,
    /// What a request took as this phase began: those that had queued before are through by then.
    lag: f64,
    /// Looks in a row that found things changed, or connections idle.
    changed: u32,
    idle: u32,
    /// The time of all requests that count for the verdict, and how many they are, both a second.
    time: f64,
    rate: f64,
    counted: u32,
    /// Whether it rests because nobody wanted more, and not because more had been tried.
    untried: bool,
    /// Looks at rest after which it tries again, and the size from which it last did.
    retry_after: u32,
    tried_from: u32,
}

impl Controller {
    /// One that begins with `size` connections.
    pub fn new(bounds: Bounds, size: u32) -> Self {
        Self {
            bounds,
            size: size.clamp(bounds.least, bounds.most.max(bounds.least)),
            phase: Phase::Begin,
            looks: 0,
            elapsed: 0.0,
            lag: 0.0,
            changed: 0,
            idle: 0,
            time: 0.0,
            rate: 0.0,
            counted: 0,
            untried: true,
            retry_after: LOOKS_TO_RETRY,
            tried_from: 0,
        }
    }

    /// How many connections there should be.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Takes other bounds, as after a reload; with the same ones it goes on as it was.
    pub fn rebound(&mut self, bounds: Bounds) {
        if bounds != self.bounds {
            *self = Self::new(bounds, self.size);
        }
    }

    /// Looks at what was measured and says how many connections there should be from here on.
    pub fn look(&mut self, look: Look) -> u32 {
        let takes = look.waited + look.held;
        if self.looks >= 1 && self.elapsed >= self.lag {
            self.time += look.rate * takes;
            self.rate += look.rate;
            self.counted += 1;
        }
        self.looks += 1;
        self.elapsed += look.within;
        let before = self.phase;
        match self.phase {
            Phase::Hold { then } => self.watch(look, then),
            _ if self.counted < LOOKS_TO_JUDGE => {}
            // Nobody asks any more: nothing can be found out.
            _ if self.rate <= 0.0 => self.rest_untried(),
            _ => self.judge(self.time / self.rate, look.wanting),
        }
        if self.phase != before {
            self.lag = takes.min(LONGEST_LAG);
        }
        self.size
    }

    /// At rest: gives idle connections up, and begins anew where things have changed.
    fn watch(&mut self, look: Look, then: Option<(f64, f64)>) {
        let spare = look.in_use + SPARE * look.in_use.sqrt() <= f64::from(self.size) - 1.0;
        self.idle = if spare && !look.wanting { self.idle + 1 } else { 0 };
        if self.idle >= LOOKS_IDLE && self.size > self.bounds.least {
            self.size -= 1;
            self.idle = 0;
            return self.rest_untried();
        }
        if self.untried && look.wanting {
            return self.enter(Phase::Begin);
        }
        let Some((rate, time)) = then else {
            if self.counted >= LOOKS_TO_JUDGE {
                let time = if self.rate > 0.0 { self.time / self.rate } else { 0.0 };
                self.phase = Phase::Hold { then: Some((self.rate / f64::from(self.counted), time)) };
            }
            return;
        };
        // Where nobody waits, a rate that changes with the demand changes nothing else.
        let others = differs(look.waited + look.held, time) || (look.wanting && differs(look.rate, rate));
        self.changed = if others { self.changed + 1 } else { 0 };
        let changed = self.changed >= LOOKS_TO_BELIEVE;
        if changed {
            (self.retry_after, self.tried_from) = (LOOKS_TO_RETRY, 0);
        }
        if look.wanting && (changed || self.looks >= self.retry_after) {
            if self.tried_from == self.size {
                self.retry_after = (self.retry_after * 2).min(LONGEST_TO_RETRY);
            }
            self.tried_from = self.size;
            self.enter(Phase::Begin);
        } else if changed {
            self.rest_untried();
        }
    }

    /// The size in force has had its time, and requests took `time`.
    fn judge(&mut self, time: f64, wanting: bool) {
        match self.phase {
            Phase::Begin if wanting => self.step_up(time),
            Phase::Begin | Phase::Hold { .. } => self.rest_untried(),
            Phase::Up { before } => {
                let pays = before / time - 1.0 >= PAYS / f64::from(self.size - 1);
                if pays && self.size == self.bounds.most {
                    self.rest();
                } else if pays {
                    self.step_up(time);
                } else {
                    self.size -= 1;
                    self.step_down(before.min(time));
                }
            }
            Phase::Down { best } if best / time >= KEEPS => self.step_down(best.min(time)),
            Phase::Down { .. } => {
                self.size += 1;
                self.rest();
            }
        }
    }

    fn step_up(&mut self, time: f64) {
        if self.size < self.bounds.most {
            self.size += 1;
            self.enter(Phase::Up { before: time });
        } else {
            self.step_down(time);
        }
    }

    fn step_down(&mut self, best: f64) {
        if self.size > self.bounds.least {
            self.size -= 1;
            self.enter(Phase::Down { best });
        } else {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.untried = false;
        self.enter(Phase::Hold { then: None });
    }

    fn rest_untried(&mut self) {
        self.rest();
        self.untried = true;
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        (self.looks, self.elapsed, self.changed) = (0, 0.0, 0);
        (self.time, self.rate, self.counted) = (0.0, 0.0, 0);
    }
}

fn differs(now: f64, then: f64) -> bool {
    now > then * CHANGED || now * CHANGED < then
}

#[cfg(test)]
mod trials;

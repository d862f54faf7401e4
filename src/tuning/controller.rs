//! How many database connections a worker should have: found by trying, one step at a time, and kept until things change.
//!
//! Requests that wait for a connection say that more might help, and nothing says whether they will: where PostgreSQL is at its own limit,
//! another connection makes each answer slower and serves nobody sooner. So the controller takes one step, looks whether more was
//! answered than before, keeps the step if it paid, and takes it back if not. Then it holds still until the time that an answer takes, or the
//! demand, is another than it was when that was found.
//!
//! **Invariant:** pure, without clock: the size stays within its bounds, moves by two at a time at the most, and comes to rest while what is measured
//! stays the same.

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
    /// Requests that PostgreSQL answered, a second.
    pub rate: f64,
    /// The mean time for which each held its place, in seconds.
    pub held: f64,
    /// Whether requests waited for a connection, or all connections carried more than they should.
    pub wanting: bool,
    /// How many connections were in use on average: λW, or less where requests share them.
    pub in_use: f64,
}

/// How much more must be answered for a step up to have paid: this part of what a connection more could bring at best.
const PAYS: f64 = 0.4;
/// How much of the best rate a smaller pool must keep.
const KEEPS: f64 = 0.97;
/// A rate or an answer's time that differs by this factor is another than before.
const CHANGED: f64 = 1.3;
/// Looks that a size is given before it is judged: the first one is of the change itself.
const LOOKS_TO_SETTLE: u32 = 2;
/// Looks in a row that must find things changed, so that no single one does.
const LOOKS_TO_BELIEVE: u32 = 2;
/// Looks in a row that must find connections idle.
const LOOKS_IDLE: u32 = 4;
/// Looks after which a verdict is tried again, should things have changed too slowly to be noticed.
const LOOKS_TO_RETRY: u32 = 240;

/// What it is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Looking how the size in force does, before the first step.
    Begin,
    /// One more was given; that is what there was before.
    Up { before: f64 },
    /// One was taken away; that is the best rate that was seen since things changed.
    Down { best: f64 },
    /// At rest: what was measured then.
    Hold { rate: f64, held: f64 },
}

/// One worker's controller.
#[derive(Debug, Clone)]
pub struct Controller {
    bounds: Bounds,
    size: u32,
    phase: Phase,
    /// Looks in this phase.
    looks: u32,
    /// Looks in a row that found things changed, or connections idle.
    changed: u32,
    idle: u32,
    /// The sum of the rates that count for the verdict, and how many they are.
    sum: f64,
    counted: u32,
}

impl Controller {
    /// One that begins with `size` connections.
    pub fn new(bounds: Bounds, size: u32) -> Self {
        let size = size.clamp(bounds.least, bounds.most.max(bounds.least));
        Self { bounds, size, phase: Phase::Begin, looks: 0, changed: 0, idle: 0, sum: 0.0, counted: 0 }
    }

    /// How many connections there should be.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Whether it is at rest.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Hold { .. })
    }

    /// Takes other bounds, as after a reload.
    pub fn rebound(&mut self, bounds: Bounds) {
        if bounds != self.bounds {
            *self = Self::new(bounds, self.size);
        }
    }

    /// Looks at what was measured and says how many connections there should be from here on.
    pub fn look(&mut self, look: Look) -> u32 {
        self.looks += 1;
        if self.looks >= LOOKS_TO_SETTLE {
            self.sum += look.rate;
            self.counted += 1;
        }
        if let Phase::Hold { rate, held } = self.phase {
            self.watch(look, rate, held);
        } else if self.looks > LOOKS_TO_SETTLE {
            let rate = self.sum / f64::from(self.counted.max(1));
            self.judge(rate, look);
        }
        self.size
    }

    /// At rest: gives idle connections up, and begins anew where things have changed.
    fn watch(&mut self, look: Look, rate: f64, held: f64) {
        let spare = look.in_use + 1.0 < f64::from(self.size) * 0.75;
        self.idle = if spare && !look.wanting { self.idle + 1 } else { 0 };
        if self.idle >= LOOKS_IDLE && self.size > self.bounds.least {
            self.size -= 1;
            self.idle = 0;
            self.enter(Phase::Hold { rate: look.rate, held: look.held });
            return;
        }
        let others = differs(look.held, held) || (look.wanting && differs(look.rate, rate));
        self.changed = if others { self.changed + 1 } else { 0 };
        let again = self.changed >= LOOKS_TO_BELIEVE || (look.wanting && self.looks >= LOOKS_TO_RETRY);
        if again && look.wanting {
            self.enter(Phase::Begin);
        } else if again {
            self.enter(Phase::Hold { rate: look.rate, held: look.held });
        }
    }

    /// The size in force has had its time.
    fn judge(&mut self, rate: f64, look: Look) {
        let held = look.held;
        match self.phase {
            Phase::Begin if !look.wanting => self.enter(Phase::Hold { rate, held }),
            Phase::Begin => self.step_up(rate, held),
            Phase::Up { before } => {
                let best = before / f64::from(self.size - 1);
                if rate - before >= PAYS * best && self.size == self.bounds.most {
                    self.enter(Phase::Hold { rate, held });
                } else if rate - before >= PAYS * best {
                    self.step_up(rate, held);
                } else {
                    self.size -= 1;
                    self.step_down(before.max(rate), held);
                }
            }
            Phase::Down { best } if rate >= KEEPS * best => self.step_down(best.max(rate), held),
            Phase::Down { best } => {
                self.size += 1;
                self.enter(Phase::Hold { rate: best, held });
            }
            Phase::Hold { .. } => {}
        }
    }

    fn step_up(&mut self, rate: f64, held: f64) {
        if self.size < self.bounds.most {
            self.size += 1;
            self.enter(Phase::Up { before: rate });
        } else {
            self.step_down(rate, held);
        }
    }

    fn step_down(&mut self, best: f64, held: f64) {
        if self.size > self.bounds.least {
            self.size -= 1;
            self.enter(Phase::Down { best });
        } else {
            self.enter(Phase::Hold { rate: best, held });
        }
    }

    fn enter(&mut self, phase: Phase) {
        (self.phase, self.looks, self.changed, self.sum, self.counted) = (phase, 0, 0, 0.0, 0);
    }
}

fn differs(now: f64, then: f64) -> bool {
    now > then * CHANGED || now * CHANGED < then
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least: 3, most: 6 };

    /// A closed loop of many clients over `size` connections, each of which waits `delay` on the way and `service` in a PostgreSQL that
    /// answers no more than `most` requests a second.
    #[derive(Clone, Copy)]
    struct World {
        delay: f64,
        service: f64,
        most: f64,
        clients: f64,
    }

    const NEAR: World = World { delay: 0.0, service: 60e-6, most: 45_000.0, clients: 64.0 };
    const FAR: World = World { delay: 2e-3, ..NEAR };

    impl World {
        fn rate(self, size: u32) -> f64 {
            (f64::from(size).min(self.clients) / (self.delay + self.service)).min(self.most)
        }

        fn look(self, size: u32, noise: f64) -> Look {
            let rate = self.rate(size) * noise;
            let used = f64::from(size).min(self.clients);
            Look { rate, held: used / rate, wanting: self.clients > f64::from(size), in_use: used }
        }

        fn best(self) -> f64 {
            (BOUNDS.least..=BOUNDS.most).map(|size| self.rate(size)).fold(0.0, f64::max)
        }
    }

    /// A noise of a few per cent up and down that repeats itself late.
    fn noise(turn: u32) -> f64 {
        let turn = f64::from(turn);
        1.0 + 0.015 * (turn * 12.9898).sin() + 0.01 * (turn * 78.233).cos()
    }

    /// Lets it look so many times; gives the sizes.
    fn run(controller: &mut Controller, world: World, turns: u32) -> Vec<u32> {
        (0..turns).map(|turn| controller.look(world.look(controller.size(), noise(turn)))).collect()
    }

    #[test]
    fn a_step_of_delay_and_back_is_followed_within_forty_looks_and_then_it_rests() {
        let mut controller = Controller::new(BOUNDS, 4);
        for world in [NEAR, FAR, NEAR, FAR] {
            run(&mut controller, world, 40);
            let rest = run(&mut controller, world, 120);
            assert!(rest.windows(2).all(|pair| pair[0] == pair[1]), "{rest:?}");
            assert!(controller.is_settled());
            let reached = world.rate(controller.size()) / world.best();
            assert!(reached >= 0.95, "{reached} of the best with {}", controller.size());
        }
        assert_eq!(controller.size(), BOUNDS.most, "far away, more serve more");
    }

    #[test]
    fn where_postgresql_is_at_its_limit_no_more_are_taken_than_serve() {
        let world = World { most: 3.5 / NEAR.service, ..NEAR };
        let mut controller = Controller::new(BOUNDS, 6);
        run(&mut controller, world, 60);
        assert_eq!(controller.size(), 4, "four are enough for what it answers");
    }

    #[test]
    fn connections_that_nobody_uses_are_given_up_and_taken_again_when_they_are_wanted() {
        let quiet = World { clients: 1.0, ..FAR };
        let mut controller = Controller::new(BOUNDS, 6);
        run(&mut controller, quiet, 60);
        assert_eq!(controller.size(), BOUNDS.least);
        run(&mut controller, FAR, 40);
        assert_eq!(controller.size(), BOUNDS.most);
    }

    #[test]
    fn the_size_never_leaves_its_bounds_and_moves_by_one() {
        let mut controller = Controller::new(BOUNDS, 99);
        let mut last = controller.size();
        assert_eq!(last, BOUNDS.most);
        for turn in 0..2_000_u32 {
            let world = if (turn / 7) % 2 == 0 { NEAR } else { FAR };
            let wild = if turn % 3 == 0 { 0.2 } else { 3.0 };
            let size = controller.look(world.look(controller.size(), wild));
            assert!(
                (BOUNDS.least..=BOUNDS.most).contains(&size) && size.abs_diff(last) <= 2,
                "{last} to {size}"
            );
            last = size;
        }
        let fixed = Bounds { least: 4, most: 4 };
        let mut controller = Controller::new(fixed, 4);
        assert!(run(&mut controller, FAR, 50).iter().all(|size| *size == 4));
    }
}

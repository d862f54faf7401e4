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
            _ if self.rate <= 0.0 => self.rest(),
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
            return self.rest();
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
            self.rest();
        }
    }

    /// The size in force has had its time, and requests took `time`.
    fn judge(&mut self, time: f64, wanting: bool) {
        match self.phase {
            Phase::Begin if wanting => self.step_up(time),
            Phase::Begin | Phase::Hold { .. } => self.rest(),
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
        self.enter(Phase::Hold { then: None });
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
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least: 3, most: 6 };

    /// A closed loop of `clients` over `size` connections, each of which waits `delay` on the way and `service` in a PostgreSQL that
    /// answers no more than `most` requests a second.
    #[derive(Clone, Copy)]
    struct Closed {
        delay: f64,
        service: f64,
        most: f64,
        clients: f64,
    }

    const NEAR: Closed = Closed { delay: 0.0, service: 60e-6, most: 45_000.0, clients: 64.0 };
    const FAR: Closed = Closed { delay: 2e-3, ..NEAR };

    impl Closed {
        fn rate(self, size: u32) -> f64 {
            (f64::from(size).min(self.clients) / (self.delay + self.service)).min(self.most)
        }

        fn look(self, size: u32, noise: f64) -> Look {
            let rate = self.rate(size) * noise;
            let in_use = f64::from(size).min(self.clients);
            let held = in_use / rate;
            let waited = (self.clients / rate - held).max(0.0);
            Look { within: 0.25, rate, waited, held, wanting: self.clients > f64::from(size), in_use }
        }

        fn best(self, bounds: Bounds) -> f64 {
            (bounds.least..=bounds.most).map(|size| self.rate(size)).fold(0.0, f64::max)
        }
    }

    /// Requests that come by themselves, `rate` a second, to `size` connections that hold each for `service` on average: M/M/c, whose mean
    /// wait is by Erlang's formula C.
    #[derive(Clone, Copy)]
    struct Open {
        rate: f64,
        service: f64,
    }

    impl Open {
        fn waited(self, size: u32) -> f64 {
            let (offered, servers) = (self.rate * self.service, f64::from(size));
            let mut term = 1.0;
            let mut below = 0.0;
            for n in 0..size {
                below += term;
                term *= offered / f64::from(n + 1);
            }
            let all_busy = term * servers / (servers - offered);
            all_busy / (below + all_busy) / (servers / self.service - self.rate)
        }

        fn look(self, size: u32, noise: f64) -> Look {
            let (rate, held, waited) = (self.rate * noise, self.service, self.waited(size));
            Look { within: 0.25, rate, waited, held, wanting: rate * waited >= 0.5, in_use: rate * held }
        }
    }

    /// A noise of a few per cent up and down that repeats itself late.
    fn noise(turn: u32) -> f64 {
        let turn = f64::from(turn);
        1.0 + 0.015 * (turn * 12.9898).sin() + 0.01 * (turn * 78.233).cos()
    }

    /// Lets it look so many times; gives the sizes.
    fn run(controller: &mut Controller, look: impl Fn(u32, f64) -> Look, turns: u32) -> Vec<u32> {
        (0..turns).map(|turn| controller.look(look(controller.size(), noise(turn)))).collect()
    }

    fn changes(sizes: &[u32]) -> usize {
        sizes.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn a_step_of_delay_and_back_is_followed_within_forty_looks_and_then_it_rests() {
        let mut controller = Controller::new(BOUNDS, 4);
        for world in [NEAR, FAR, NEAR, FAR] {
            run(&mut controller, |size, noise| world.look(size, noise), 40);
            let rest = run(&mut controller, |size, noise| world.look(size, noise), 120);
            assert_eq!(changes(&rest), 0, "{rest:?}");
            let reached = world.rate(controller.size()) / world.best(BOUNDS);
            assert!(reached >= 0.95, "{reached} of the best with {}", controller.size());
        }
        assert_eq!(controller.size(), BOUNDS.most, "far away, more serve more");
    }

    #[test]
    fn it_comes_to_rest_wherever_it_begins_and_tries_again_more_and_more_rarely() {
        let full = Closed { most: 3.5 / NEAR.service, ..NEAR };
        for (least, most) in [(3, 6), (1, 3), (2, 4), (6, 12)] {
            let bounds = Bounds { least, most };
            for (world, begin) in [NEAR, FAR, full]
                .into_iter()
                .flat_map(|world| (least..=most).map(move |begin| (world, begin)))
            {
                let mut controller = Controller::new(bounds, begin);
                let sizes = run(&mut controller, |size, noise| world.look(size, noise), 4_000);
                // To get there, and some five tries of a few steps each.
                assert!(changes(&sizes) <= 40, "{bounds:?} from {begin}: {} changes", changes(&sizes));
                let reached = world.rate(controller.size()) / world.best(bounds);
                assert!(reached >= 0.95, "{bounds:?} from {begin}: {reached} with {}", controller.size());
            }
        }
    }

    #[test]
    fn where_postgresql_is_at_its_limit_no_more_are_taken_than_serve() {
        let world = Closed { most: 3.5 / NEAR.service, ..NEAR };
        let mut controller = Controller::new(BOUNDS, 6);
        run(&mut controller, |size, noise| world.look(size, noise), 60);
        assert_eq!(controller.size(), 4, "four are enough for what it answers");
    }

    #[test]
    fn requests_that_come_by_themselves_are_not_left_in_a_queue() {
        for (rate, service) in [(1_350.0, 2e-3), (1_100.0, 2e-3), (140_000.0, 20e-6)] {
            let world = Open { rate, service };
            let mut controller = Controller::new(BOUNDS, 3);
            run(&mut controller, |size, noise| world.look(size, noise), 60);
            let (time, best) =
                [controller.size(), BOUNDS.most].map(|size| world.waited(size) + service).into();
            assert!(time <= 1.25 * best, "{time} with {}, {best} with {}", controller.size(), BOUNDS.most);
        }
    }

    #[test]
    fn a_queue_that_drains_slowly_is_waited_out_before_a_step_is_judged() {
        // 24 clients on answers of 80 ms each: with one connection a request takes two seconds, and those that queue before a step
        // show the old wait for that long after it.
        let world = Closed { delay: 80e-3, service: 0.0, most: f64::MAX, clients: 24.0 };
        let mut controller = Controller::new(Bounds { least: 1, most: 3 }, 1);
        let (mut shown, mut since, mut last) = (world.look(1, 1.0).waited, 0.0, 1);
        for turn in 0..160 {
            let now = world.look(controller.size(), noise(turn));
            if controller.size() != last {
                (last, since) = (controller.size(), 0.0);
            }
            since += now.within;
            // Who is through now began to wait that long ago.
            if since > shown {
                shown = now.waited;
            }
            controller.look(Look { waited: shown, ..now });
        }
        assert_eq!(controller.size(), 3);
    }

    #[test]
    fn connections_that_nobody_uses_are_given_up_and_taken_again_when_they_are_wanted() {
        let quiet = Closed { clients: 1.0, ..FAR };
        let nothing =
            |_, _| Look { within: 0.25, rate: 0.0, waited: 0.0, held: 0.0, wanting: false, in_use: 0.0 };
        let mut controller = Controller::new(BOUNDS, 6);
        run(&mut controller, |size, noise| quiet.look(size, noise), 60);
        assert_eq!(controller.size(), BOUNDS.least);
        run(&mut controller, |size, noise| FAR.look(size, noise), 40);
        assert_eq!(controller.size(), BOUNDS.most);
        run(&mut controller, nothing, 60);
        assert_eq!(controller.size(), BOUNDS.least, "also where nobody asks at all");
        run(&mut controller, |size, noise| FAR.look(size, noise), 40);
        assert_eq!(controller.size(), BOUNDS.most);
    }

    #[test]
    fn the_size_never_leaves_its_bounds_and_the_same_bounds_change_nothing() {
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
            controller.rebound(BOUNDS);
            last = size;
        }
        controller.rebound(Bounds { least: 1, most: 2 });
        assert_eq!(controller.size(), 2);
        let fixed = Bounds { least: 4, most: 4 };
        let mut controller = Controller::new(fixed, 4);
        assert_eq!(changes(&run(&mut controller, |size, noise| FAR.look(size, noise), 500)), 0);
    }
}

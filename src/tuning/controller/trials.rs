//! The controller in worlds that are simulated: closed loops, queues of requests that come by themselves, and no requests at all.
//!
//! **Invariant:** what is best in a world is worked out from the world's own formula, not from what the controller found.

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
        for (world, begin) in
            [NEAR, FAR, full].into_iter().flat_map(|world| (least..=most).map(move |begin| (world, begin)))
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
        let (time, best) = [controller.size(), BOUNDS.most].map(|size| world.waited(size) + service).into();
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
    while controller.size() > BOUNDS.least {
        run(&mut controller, nothing, 1);
    }
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
        assert!((BOUNDS.least..=BOUNDS.most).contains(&size) && size.abs_diff(last) <= 2, "{last} to {size}");
        controller.rebound(BOUNDS);
        last = size;
    }
    controller.rebound(Bounds { least: 1, most: 2 });
    assert_eq!(controller.size(), 2);
    let fixed = Bounds { least: 4, most: 4 };
    let mut controller = Controller::new(fixed, 4);
    assert_eq!(changes(&run(&mut controller, |size, noise| FAR.look(size, noise), 500)), 0);
}

//! The routes of `--lab`: workloads that wait, compute and take a body, so that topologies can be compared under each, and a fault.
//!
//! [`wait`] holds a request without holding its worker, [`burn`] keeps a core busy ([`proof`], on the worker or on the
//! [`side_pool`]), and [`echo`] takes a body, as no other route does. [`mod@panic`] is a fault of ours, to see what becomes of the rest.
//!
//! **Invariant:** without `--lab` there is no [`Lab`], and none of these routes exists.

use std::io;
use std::ops::RangeInclusive;

use hyper::body::Incoming;
use hyper::{Method, Request};
use tokio::time::Instant;

use super::context::Context;
use super::framing::Framing;
use super::response::Answer;
use super::router;
use crate::config::lab::{Burn, LabArgs};
use crate::config::workers::usable_cores;

mod burn;
mod echo;
mod panic;
mod proof;
mod side_pool;
mod wait;

/// What the workloads need; the workers of a process share it.
#[derive(Clone)]
pub(crate) struct Lab {
    /// Where proofs are searched for; none stands for the worker itself.
    side_pool: Option<side_pool::SidePool>,
}

impl Lab {
    /// The laboratory, if the settings want one, with its threads started.
    pub(crate) fn start(args: &LabArgs) -> io::Result<Option<Self>> {
        if !args.lab {
            return Ok(None);
        }
        let side_pool = match args.burn {
            Burn::Inline => None,
            Burn::Offload => Some(side_pool::SidePool::start(usable_cores())?),
        };
        Ok(Some(Self { side_pool }))
    }
}

/// The routes of the laboratory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Wait,
    Burn,
    Echo,
    Panic,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/lab/wait" => Self::Wait,
            "/lab/burn" => Self::Burn,
            echo::PATH => Self::Echo,
            panic::PATH => Self::Panic,
            _ => return None,
        })
    }
}

/// Answers one request to one of the routes; its `Host` was found in order.
pub(super) async fn respond(
    route: Route,
    lab: &Lab,
    request: &mut Request<Incoming>,
    context: &Context,
    begun: Instant,
) -> Answer {
    let deadline = begun + context.request_deadline;
    if route == Route::Echo {
        return echo::echo(request, context, deadline).await;
    }
    let body = Framing::of(request).has_body;
    let query = request.uri().query();
    let answer = match (route, request.method()) {
        (_, &Method::GET | &Method::HEAD) if body => Ok(router::refuse("this request takes no body")),
        (Route::Wait, &Method::GET | &Method::HEAD) => wait::wait(query, context).await,
        (Route::Panic, &Method::GET | &Method::HEAD) => panic::panic(query).await,
        (_, &Method::GET | &Method::HEAD) => burn::burn(query, lab, context, deadline).await,
        (_, &Method::OPTIONS) => Ok(router::options()),
        (_, _) => Ok(router::refuse_method()),
    };
    let answer = answer.unwrap_or_else(|error| error.into_answer(context));
    if body { answer.closing() } else { answer }
}

/// How many bytes behind this head are a body that may be handed on unread; see [`echo`]. Called by the connection's task for every head
/// of a server with the laboratory.
pub(crate) fn body_length(head: &[u8]) -> usize {
    panic::look_at(head);
    echo::body_length(head)
}

/// The number that the first parameter of this name holds; nothing where it is missing, out of range or no number at all.
fn number(query: Option<&str>, name: &str, range: &RangeInclusive<u32>) -> Option<u32> {
    let digits = query?
        .split('&')
        .find_map(|pair| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_range_or_it_is_none() {
        let read = |query| number(query, "ms", &(1..=60_000));
        for (query, expected) in [
            ("ms=10", Some(10)),
            ("ms=1", Some(1)),
            ("ms=60000", Some(60_000)),
            ("ms=010", Some(10)),
            ("a=1&ms=3&ms=4", Some(3)),
            ("ms=0", None),
            ("ms=60001", None),
            ("ms=99999999999999999999", None),
            ("ms=", None),
            ("ms", None),
            ("ms=+1", None),
            ("ms=-1", None),
            ("ms=1.5", None),
            ("ms=1s", None),
            ("xms=1", None),
            ("", None),
        ] {
            assert_eq!(read(Some(query)), expected, "{query:?}");
        }
        assert_eq!(read(None), None);
    }
}

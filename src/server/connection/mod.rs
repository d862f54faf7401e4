//! Step 4 of 7, connection: one client's stream, from its first byte to its last.
//!
//! hyper speaks HTTP/1 over a [`guard`], which hands it whole request heads only ([`scan`]); [`farewell`] says the last word
//! ([`refusal`]). The task here keeps time with one timer, by the [`state`] that all parts share, and gives a connection that has
//! fallen idle back to be parked.
//!
//! **Invariant:** in a drain no request that was sent on an open connection goes unanswered: the last request that has come is
//! answered with `Connection: close`, and an idle connection is closed only after the grace, and after one more look.
//!
//! Before: [`super::worker`]. After: [`crate::http`]'s router.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

use super::stop::Phase;
use super::worker::Worker;
use crate::http::{self, Body};
use crate::telemetry::labels::{CloseReason, Route};

mod bodies;
mod farewell;
mod guard;
mod outbox;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod properties;
mod refusal;
mod scan;
mod state;

pub(super) use refusal::Refusal;
pub(super) use state::ConnectionState;
use state::Overdue;

/// The most header fields of a request; hyper answers 431 to more.
const MOST_HEADERS: usize = 100;
/// What hyper may hold of one connection, in bytes: more than a head, so that the guard's limits are the ones that count.
const MOST_BUFFERED: usize = 4 * scan::LONGEST_HEAD;

/// What the guard and the service of one connection share.
struct Client {
    /// Read and written by the guard; the service looks whether more has come.
    stream: RefCell<TcpStream>,
    /// What was gathered and the socket did not take; empty and without memory unless the client reads slowly.
    unsent: RefCell<Vec<u8>>,
    worker: Rc<Worker>,
    state: Rc<ConnectionState>,
    /// How far the end has come.
    farewell: RefCell<farewell::Farewell>,
}

/// Serves one connection until it ends, and says why; or until it is idle: then its socket is given back, with nothing read from it that
/// was not answered, and hyper's buffers are free.
pub(super) async fn run(
    stream: TcpStream,
    worker: Rc<Worker>,
    state: Rc<ConnectionState>,
) -> Result<OwnedFd, CloseReason> {
    let client = Rc::new(Client {
        stream: RefCell::new(stream),
        unsent: RefCell::default(),
        worker: Rc::clone(&worker),
        state: Rc::clone(&state),
        farewell: RefCell::default(),
    });
    state.belongs_to(&client);
    if let End::Closed(reason) = serve(&client).await {
        return Err(reason);
    }
    // hyper is gone, and the requests' futures with it: nobody else holds the client.
    let socket = Rc::try_unwrap(client).ok().and_then(|client| client.stream.into_inner().into_std().ok());
    // A socket that the event loop does not let go could not be parked.
    socket.map(OwnedFd::from).ok_or(CloseReason::Evicted)
}

/// How serving a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection is over.
    Closed(CloseReason),
    /// Nothing is under way, and has not been for a while.
    Idle,
}

async fn serve(client: &Rc<Client>) -> End {
    let (worker, state) = (&client.worker, &client.state);
    let guard = guard::Guard::new(Rc::clone(client));
    let service = service_fn(move |mut request| {
        let client = Rc::clone(client);
        async move { Ok::<_, Infallible>(client.answer(&mut request).await) }
    });
    let http = http1::Builder::new()
        // The Date is ours; and a client that has sent its request may close its half and wait for the answer.
        .auto_date_header(false)
        .half_close(true)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_BUFFERED)
        .serve_connection(guard, service);
    let mut http = pin!(http);
    let sleep = pin!(tokio::time::sleep(worker.limits.first_look()));
    let mut timer = Timer::new(sleep);
    let mut has_ended = false;
    std::future::poll_fn(|cx| {
        if state.set_waker(cx.waker()) {
            timer.is_set = false;
        }
        loop {
            // What went wrong on one connection is that client's affair, and hyper has answered it.
            client.begin_turn();
            if !has_ended && let Poll::Ready(outcome) = http.as_mut().poll(cx) {
                client.count_refusal(outcome.as_ref().err());
                has_ended = true;
            }
            // Behind a request for another protocol, which is none here, hyper ends without taking leave.
            if has_ended && client.say_farewell(cx).is_ready() {
                return Poll::Ready(End::Closed(state.why_ended(worker.is_draining())));
            }
            let sent = client.flush(cx);
            if matches!(sent, Poll::Ready(Err(_))) {
                return Poll::Ready(End::Closed(state.why_broken()));
            }
            if worker.phase.get() == Phase::Closing && state.is_idle() {
                return Poll::Ready(End::Closed(CloseReason::Drain));
            }
            if worker.parks_at_once() && state.may_park() {
                return Poll::Ready(End::Idle);
            }
            match keep_time(cx, &mut timer, worker, state) {
                Watch::End(end) if state.is_left_hanging() => {
                    client.count_unframed();
                    return Poll::Ready(end);
                }
                Watch::Wait => return Poll::Pending,
                Watch::Again => {}
                Watch::End(end) => return Poll::Ready(end),
            }
        }
    })
    .await
}

/// What the clock asks of the connection's task.
enum Watch {
    Wait,
    Again,
    End(End),
}

/// A connection's timer, which wakes its task.
struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    /// Whether the runtime knows whom to wake. It need not be told again before the timer has passed or is moved.
    is_set: bool,
}

impl<'a> Timer<'a> {
    fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self { sleep, is_set: false }
    }

    fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    fn reset(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.is_set = false;
    }

    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_set && !self.sleep.is_elapsed() {
            return false;
        }
        // A task that has used up its share of the turn is not heard now, but polled again at once.
        self.is_set = has_budget_remaining();
        self.sleep.as_mut().poll(cx).is_ready()
    }
}

fn keep_time(cx: &mut Context<'_>, timer: &mut Timer<'_>, worker: &Worker, state: &ConnectionState) -> Watch {
    // A head that has begun or a farewell may be due before the timer is; it is moved for them, and for nothing else.
    if let Some(at) = state.pressing_deadline(&worker.limits)
        && at < timer.deadline()
    {
        timer.reset(at);
    }
    while timer.has_passed(cx) {
        match state.overdue(Instant::now(), &worker.limits) {
            Overdue::Not(at) => timer.reset(at),
            Overdue::Close => return Watch::End(End::Closed(state.why_overdue())),
            // In a drain it is not worth parking.
            Overdue::Idle(_) if worker.phase.get() == Phase::Serving => return Watch::End(End::Idle),
            Overdue::Idle(close_at) => timer.reset(close_at),
            Overdue::Head => {
                state.refuse(refusal::Refusal::TooSlow);
                return Watch::Again;
            }
        }
    }
    Watch::Wait
}

impl Client {
    /// Answers one request and decides whether the connection goes on.
    async fn answer(&self, request: &mut Request<Incoming>) -> Response<Body> {
        let context = &self.worker.context;
        let begun = self.state.begin();
        let mut answer = http::respond(request, context, begun).await;
        answer.close |= self.worker.is_draining() && self.has_sent_no_more();
        let now = Instant::now();
        answer.count(&context.counters, now.saturating_duration_since(begun));
        self.state.answer(answer.close, now);
        answer.into_response(context, request.headers_mut())
    }

    /// Counts the answer that hyper has given to what it could make no request of, as it says when the client has taken leave.
    fn count_refusal(&self, error: Option<&hyper::Error>) {
        // To the preface of HTTP/2 it says nothing.
        if error.is_some_and(|error| error.is_parse() && !error.is_parse_version_h2()) {
            self.count_unframed();
        }
    }

    fn count_unframed(&self) {
        self.worker.context.counters.note_answer(Route::Unframed, 400);
    }

    /// Whether nothing has come behind the request in hand: nothing that was read, and nothing that the kernel holds.
    fn has_sent_no_more(&self) -> bool {
        let peek = || recv(&*self.stream.borrow(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        self.state.is_last_in_line() && !peek().is_ok_and(|(more, _)| more > 0)
    }
}

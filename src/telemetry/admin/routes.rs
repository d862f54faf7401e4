//! What the admin side answers, and to whom.
//!
//! **Invariant:** what changes anything is answered on the Unix socket alone, and over TCP no name that could be made to point here is
//! taken for ours.

use std::net::IpAddr;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, HOST, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};

use super::office::Office;
use super::reply::{Whole, json, reply, say, with};
use super::{change, metrics, page, query};
use crate::telemetry::ask::MEANT_PORT;

/// The way that a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    /// The address for reads.
    Tcp,
    /// The Unix socket.
    Socket,
}

const READS: [&str; 6] = ["/", "/healthz", "/readyz", "/metrics", "/status.json", "/connections.json"];
const CHANGES: [&str; 3] = ["/pool/resize", "/pool/pause", "/pool/resume"];

/// Answers one request.
pub(super) async fn answer(
    office: &Rc<Office>,
    entrance: Entrance,
    request: Request<Incoming>,
) -> Response<Whole> {
    if entrance == Entrance::Tcp
        && let Some(refusal) = refuse_sender(office, request.headers())
    {
        return refusal;
    }
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let is_change = CHANGES.contains(&path);
    let allowed = if is_change { "POST" } else { "GET, HEAD" };
    let fits = match *request.method() {
        Method::GET | Method::HEAD => !is_change,
        Method::POST => is_change,
        _ => false,
    };
    if !is_change && !READS.contains(&path) {
        let changes = CHANGES.join(", ");
        let text =
            format!("there is no {path} here.\nGET {}\nPOST {changes}, on the Unix socket", READS.join(", "));
        return say(StatusCode::NOT_FOUND, text);
    }
    if !fits {
        let refusal = say(StatusCode::METHOD_NOT_ALLOWED, format_args!("{path} takes {allowed}"));
        return with(refusal, ALLOW, allowed);
    }
    if is_change && entrance == Entrance::Tcp {
        let why = "changes are taken on the Unix socket only, which the service's first lines name: \
                   `plimsoll pool`, or curl --unix-socket PATH -X POST http://localhost/…";
        return say(StatusCode::FORBIDDEN, why);
    }
    match path {
        "/" => page::show(),
        "/healthz" => say(StatusCode::OK, "it runs"),
        "/readyz" => ready(office).await,
        "/metrics" => {
            let accepts = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = metrics::Format::wanted(accepts.unwrap_or_default());
            let text = metrics::render(&office.service.borrow().clone(), &office.sample().await, format);
            reply(StatusCode::OK, format.media_type(), text)
        }
        "/status.json" => json(&office.status().await),
        "/connections.json" => match query::filter(query) {
            Ok(filter) => json(&office.processes.list(filter).await),
            Err(why) => say(StatusCode::BAD_REQUEST, why),
        },
        "/pool/resize" => change::resize(office, query).await,
        path => change::pause(office, path == "/pool/pause").await,
    }
}

async fn ready(office: &Office) -> Response<Whole> {
    match office.readiness().await {
        Ok(None) => say(StatusCode::OK, "it is ready"),
        Ok(Some(trouble)) => say(StatusCode::OK, format_args!("it is ready, but the database: {trouble}")),
        Err(reasons) => say(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n")),
    }
}

/// Refuses who means another service, and a browser that was led here under a name of somebody else's.
fn refuse_sender(office: &Office, headers: &HeaderMap) -> Option<Response<Whole>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(meant) = text(MEANT_PORT) {
        let service = office.service.borrow();
        let serves = |address: &String| address.rsplit(':').next() == Some(meant);
        if !service.listening.iter().any(serves) {
            let here = service.listening.join(", ");
            let why = format!("the service that answers here is on {here}, not on port {meant}");
            return Some(say(StatusCode::MISDIRECTED_REQUEST, why));
        }
    }
    if text(HOST.as_str()).is_none_or(is_ours) {
        return None;
    }
    let why = "ask by an address, by localhost, or by a name without a dot: any other could be made to point here by a page \
               that a browser shows (DNS rebinding)";
    Some(say(StatusCode::FORBIDDEN, why))
}

/// Whether a `Host` is an address, or a name that no public name server answers for (RFC 6761, section 6.3).
fn is_ours(host: &str) -> bool {
    let is_port = |port: &str| port.chars().all(|digit| digit.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || !name.contains('.') || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_without_a_dot_are_ours_and_others_are_not() {
        for host in
            ["127.0.0.1:9090", "10.0.0.7", "[::1]:9090", "localhost:9090", "plimsoll:9090", "a.localhost"]
        {
            assert!(is_ours(host), "{host}");
        }
        for host in ["evil.example", "evil.example:9090", "127.0.0.1.evil.example:80", "[::1].evil.example"] {
            assert!(!is_ours(host), "{host}");
        }
    }
}

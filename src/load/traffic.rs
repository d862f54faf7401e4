//! What is asked, and of whom: destinations, each with its requests as bytes, in the order of their weights.
//!
//! **Invariant:** requests are rendered once, before the first connection opens.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::round_of;
use crate::config::load::{Header, Url, WeightedPath};

/// One address that is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Destination {
    /// Where.
    pub address: SocketAddr,
    /// Each path's request, as it is sent.
    requests: Vec<Vec<u8>>,
    /// Numbers of requests, in the order in which they are sent, round and round.
    round: Vec<u16>,
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The name has no address.
    #[error("{authority} has no address: {why}. Check the name, or write the address itself")]
    NoAddress {
        /// Host and port as written.
        authority: String,
        /// What the system says.
        why: String,
    },
    /// Two ways to name paths at once.
    #[error("{0} names a path and --path names others: with --path, URLs end behind the port")]
    TwoPaths(String),
    /// Too many steps in a round.
    #[error("the weights add up to more than {MOST_STEPS}: divide them by their common factor")]
    Weights,
}

/// How long each address of a name with several may take to answer, and how many of them are tried.
const TRY_FOR: Duration = Duration::from_secs(2);
const MOST_ADDRESSES: usize = 8;

/// A request as it is sent, and its weight.
type Weighted = (Vec<u8>, u16);

/// The most requests of a round.
const MOST_STEPS: u32 = 60_000;

impl Destination {
    /// Every address among the URLs, each with its paths.
    pub fn all(urls: &[Url], paths: &[WeightedPath], headers: &[Header]) -> Result<Vec<Self>, TrafficError> {
        let mut by_address: Vec<(SocketAddr, Vec<Weighted>)> = Vec::new();
        for url in urls {
            let address = resolve(url)?;
            if !paths.is_empty() && url.path != "/" {
                return Err(TrafficError::TwoPaths(format!("http://{}{}", url.authority, url.path)));
            }
            let own = [WeightedPath { path: url.path.clone(), weight: 1 }];
            let asked = if paths.is_empty() { &own[..] } else { paths };
            let requests =
                asked.iter().map(|path| (render(&url.authority, &path.path, headers), path.weight));
            match by_address.iter_mut().find(|(known, _)| *known == address) {
                Some((_, known)) => known.extend(requests),
                None => by_address.push((address, requests.collect())),
            }
        }
        by_address.into_iter().map(|(address, requests)| Self::new(address, requests)).collect()
    }

    fn new(address: SocketAddr, requests: Vec<Weighted>) -> Result<Self, TrafficError> {
        let (requests, weights): (Vec<_>, Vec<u16>) = requests.into_iter().unzip();
        if weights.iter().map(|&weight| u32::from(weight)).sum::<u32>() > MOST_STEPS {
            return Err(TrafficError::Weights);
        }
        Ok(Self { address, requests, round: round_of(&weights) })
    }

    /// The request of a step; steps go round.
    pub(super) fn request(&self, step: &mut usize) -> &[u8] {
        let number = self.round.get(*step).copied().unwrap_or_default();
        *step = if *step + 1 < self.round.len() { *step + 1 } else { 0 };
        &self.requests[usize::from(number)]
    }
}

fn resolve(url: &Url) -> Result<SocketAddr, TrafficError> {
    let refuse = |why: String| TrafficError::NoAddress { authority: url.authority.clone(), why };
    let found = (url.host.as_str(), url.port).to_socket_addrs().map_err(|error| refuse(error.to_string()))?;
    first_that_listens(&found.collect::<Vec<_>>()).ok_or_else(|| refuse("nothing was found".into()))
}

/// The address to ask of those that a name has, as localhost has 127.0.0.1 and `::1`, on one of which nobody may listen; where nobody
/// listens on any it is the first, which the run then says.
fn first_that_listens(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let first = addresses.first()?;
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, TRY_FOR).is_ok();
    // The only one need not be tried here.
    let found = if addresses.len() > 1 { addresses.iter().take(MOST_ADDRESSES).find(listens) } else { None };
    Some(*found.unwrap_or(first))
}

/// A GET as it goes over the wire. A header that is given replaces ours of that name.
fn render(authority: &str, path: &str, headers: &[Header]) -> Vec<u8> {
    let ours = if headers.iter().any(|header| header.name.eq_ignore_ascii_case("host")) {
        String::new()
    } else {
        format!("Host: {authority}\r\n")
    };
    let theirs: Vec<String> =
        headers.iter().map(|Header { name, value }| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\n{ours}{}\r\n", theirs.concat()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| Url::parse(text).unwrap()).collect()
    }

    #[test]
    fn urls_of_one_address_share_its_connections() {
        let all = Destination::all(
            &urls(&["http://127.0.0.1:1/a", "http://127.0.0.1:2/b", "http://127.0.0.1:1/c"]),
            &[],
            &[],
        );
        let all = all.unwrap();
        assert_eq!(all.len(), 2);
        let mut step = 0;
        let asked: Vec<_> =
            (0..3).map(|_| String::from_utf8_lossy(all[0].request(&mut step)).into_owned()).collect();
        assert!(asked[0].starts_with("GET /a HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"), "{asked:?}");
        assert!(asked[1].starts_with("GET /c ") && asked[2] == asked[0], "{asked:?}");
    }

    #[test]
    fn a_name_with_several_addresses_stands_for_the_first_on_which_somebody_listens() {
        use std::net::TcpListener;
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let nobody = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let [one, other] = [&one, &other].map(|listener| listener.local_addr().unwrap());
        assert_eq!(first_that_listens(&[nobody, one, other]), Some(one));
        assert_eq!(first_that_listens(&[nobody, nobody]), Some(nobody));
        assert_eq!(first_that_listens(&[nobody]), Some(nobody));
        assert_eq!(first_that_listens(&[]), None);
    }

    #[test]
    fn a_header_given_replaces_ours() {
        let headers = [Header::parse("Host: example.org").unwrap(), Header::parse("Accept: */*").unwrap()];
        let all = Destination::all(&urls(&["http://127.0.0.1:1/"]), &[], &headers).unwrap();
        assert_eq!(all[0].requests[0], b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n");
    }

    #[test]
    fn paths_in_two_places_are_refused() {
        let path = WeightedPath::parse("/db=2").unwrap();
        let both = Destination::all(&urls(&["http://127.0.0.1:1/a"]), std::slice::from_ref(&path), &[]);
        assert!(matches!(both, Err(TrafficError::TwoPaths(_))));
        let all = Destination::all(&urls(&["http://127.0.0.1:1"]), &[path], &[]).unwrap();
        assert_eq!(all[0].round.len(), 2);
    }
}

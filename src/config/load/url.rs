//! What to ask: URLs, weighted paths, headers.
//!
//! **Invariant:** nothing in them can end a request line or a header early.

/// An `http://` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host and port as written, which is the `Host` header.
    pub authority: String,
    /// The host alone, without the brackets of an IPv6 address.
    pub host: String,
    /// The port, 80 where none is written.
    pub port: u16,
    /// Path and query; `/` where none is written.
    pub path: String,
}

impl Url {
    /// Reads `http://HOST[:PORT][/PATH]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err("only http:// is spoken: measure in front of what ends TLS, or behind it".into());
            }
            _ => return Err("not a URL: write it as in http://127.0.0.1:8080/json".into()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if authority.contains('@') {
            return Err("a name before the host is not sent: use -H 'Authorization: …'".into());
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => authority.rsplit_once(':').unwrap_or((authority, "")),
        };
        let port = if port.is_empty() { Ok(80) } else { port.parse() };
        let port = port.map_err(|_| format!("`{authority}` has no port from 0 to 65535 behind its colon"))?;
        if host.is_empty() || !visible(authority) || !visible(&path) {
            return Err(
                "a host is missing, or there are blanks or control characters: write %20 for a blank".into(),
            );
        }
        Ok(Self { authority: authority.to_owned(), host: host.to_owned(), port, path })
    }
}

/// Whether text may stand in a request line.
fn visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A path, and how often it is asked beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedPath {
    /// Path and query.
    pub path: String,
    /// Requests in each round.
    pub weight: u16,
}

/// The heaviest weight: the order of a round is worked out beforehand.
const HEAVIEST: u16 = 1000;

impl WeightedPath {
    /// Reads `/PATH` or `/PATH=WEIGHT`. In a query the last parameter keeps its own `=`: `/queries?queries=20` weighs 1,
    /// `/queries?queries=20=3` weighs 3.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') || !visible(text) {
            return Err("not a path: it starts with / and holds no blank, as in /db or /db=3".into());
        }
        let last = text.rfind(['?', '&']).map_or(text, |at| &text[at..]);
        let own = usize::from(text.contains('?'));
        let (path, weight) = match text.rsplit_once('=') {
            Some((path, weight)) if last.matches('=').count() > own => (path, weight),
            _ => (text, "1"),
        };
        match weight.parse() {
            Ok(weight @ 1..=HEAVIEST) => Ok(Self { path: path.to_owned(), weight }),
            _ => Err(format!("`{weight}` is no weight: a number from 1 to {HEAVIEST}")),
        }
    }
}

/// A header to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Header {
    /// Reads `Name: value`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("not a header: write it as in 'Accept: text/html'")?;
        let (name, value) = (name.trim(), value.trim());
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty()
            || !name.bytes().all(token)
            || value.bytes().any(|byte| byte < 0x20 || byte == 0x7f)
        {
            return Err("not a header: the name is a token, and the value holds no control character".into());
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("http://127.0.0.1:8080/queries?queries=3#part").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.path.as_str()),
            ("127.0.0.1", 8080, "/queries?queries=3")
        );
        assert_eq!(url.authority, "127.0.0.1:8080");
        let url = Url::parse("http://[::1]:81").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 81, "/"));
        let url = Url::parse("http://db?x=1").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("db", 80, "/?x=1"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in
            ["127.0.0.1:8080", "https://x/", "http://", "http://x:99999/", "http://x/a b", "http://me@x/"]
        {
            assert!(Url::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn weights_stand_behind_the_last_sign_that_no_parameter_needs() {
        let read = |text: &str| WeightedPath::parse(text).map(|path| (path.path, path.weight));
        assert_eq!(read("/db"), Ok(("/db".into(), 1)));
        assert_eq!(read("/db=3"), Ok(("/db".into(), 3)));
        assert_eq!(read("/queries?queries=20"), Ok(("/queries?queries=20".into(), 1)));
        assert_eq!(read("/queries?queries=20=3"), Ok(("/queries?queries=20".into(), 3)));
        assert_eq!(read("/a?b=1&c=2"), Ok(("/a?b=1&c=2".into(), 1)));
        for text in ["db", "/db=0", "/db=x", "/db=1001", "/d b"] {
            assert!(read(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn headers_cannot_smuggle_a_line() {
        let header = Header::parse("Accept:  text/html ").unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("Accept", "text/html"));
        for text in ["Accept", ": x", "A b: c", "A: b\r\nC: d"] {
            assert!(Header::parse(text).is_err(), "{text:?} was taken");
        }
    }
}

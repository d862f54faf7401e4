//! A response, parsed as strictly as the standard reads.
//!
//! **Invariant:** what RFC 9112 does not allow a server to send fails the test that received it.

/// One response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// In order, with duplicates, names as sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Parses a head that ends with its blank line.
    pub(crate) fn parse_head(head: &[u8]) -> Self {
        let text = std::str::from_utf8(head).expect("a head in ASCII");
        assert!(text.is_ascii(), "a head beyond ASCII: {text:?}");
        let lines = text.strip_suffix("\r\n\r\n").expect("a blank line after the head");
        assert!(!lines.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF in {text:?}");
        let mut lines = lines.split("\r\n");
        let mut status_line = lines.next().unwrap_or_default().splitn(3, ' ');
        let version = status_line.next().unwrap_or_default().to_owned();
        assert!(version == "HTTP/1.1" || version == "HTTP/1.0", "an odd version in {text:?}");
        let digits = status_line.next().unwrap_or_default();
        assert_eq!(digits.len(), 3, "a status of three digits in {text:?}");
        let status = digits.parse().expect("a numeric status");
        assert!(status_line.next().is_some(), "a space after the status in {text:?}");
        let headers = lines.map(parse_header).collect();
        Self { version, status, headers, body: Vec::new() }
    }

    /// Every value of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |(key, value): &'_ (String, String)| key.eq_ignore_ascii_case(name).then_some(value.len());
        self.headers.iter().filter(|header| same(header).is_some()).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that may come once at most.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} comes {} times in {self:?}", values.len());
        values.first().copied()
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.header("content-length").map(|value| {
            assert!(value.bytes().all(|byte| byte.is_ascii_digit()), "Content-Length: {value}");
            value.parse().expect("a length in digits")
        })
    }

    /// Whether the server says that it closes.
    pub(crate) fn announces_close(&self) -> bool {
        self.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

fn parse_header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(token), "an odd header name in {line:?}");
    assert!(
        !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'),
        "a control character in {line:?}"
    );
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

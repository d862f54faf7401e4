//! What holds of any address: of PostgreSQL, of a server to measure, of our control group.
//!
//! **Invariant:** whatever the text, a password in it is shown to nobody.

use crate::config::database::Target;
use crate::config::load::{Header, Url, WeightedPath};
use crate::config::{duration, report};
use crate::database::target::{configuration, describe, secret_pairs};

/// The shortest password that is looked for: a shorter one stands in half of all texts by chance.
const SHORTEST: usize = 4;

/// Reads a text as each of the addresses.
pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_database(text);
    check_measured(text);
    crate::kernel::read::check_membership(text);
    if let Ok(time) = duration::parse_or_zero(text) {
        let whole = std::time::Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        assert_eq!(duration::parse_or_zero(&duration::display(time)), Ok(whole), "{time:?}");
    }
}

fn check_database(text: &str) {
    let masked = report::mask(text);
    let target = Target::Given { url: Some(text.to_owned()), variables: Box::default() };
    let config = match configuration(&target) {
        Ok(config) => config.unwrap_or_else(|| panic!("a given database is not the private one")),
        Err(error) => return assert!(!error.to_string().is_empty(), "a refusal without a word"),
    };
    let password = std::str::from_utf8(config.get_password().unwrap_or_default()).unwrap_or_default();
    // Only what stands there once, as it is, can be told from the rest of the text; stars stand for it.
    if password.len() >= SHORTEST && !password.contains('*') && text.matches(password).count() == 1 {
        assert!(!masked.contains(password), "{masked:?} shows the password of {text:?}");
    }
    let mut with_another = config.clone();
    with_another.password("another");
    assert_eq!(describe(&config), describe(&with_another), "the description depends on the password");
    let again = secret_pairs(&config).parse::<crate::database::Config>();
    assert!(again.is_ok(), "{text:?} does not survive its way to a child: {again:?}");
}

/// Nothing that is taken can end a request line or a header early.
fn check_measured(text: &str) {
    let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if let Ok(url) = Url::parse(text) {
        assert!(graphic(&url.authority) && graphic(&url.path) && url.path.starts_with('/'), "{url:?}");
        assert!(!url.host.is_empty(), "{url:?}");
    }
    if let Ok(weighted) = WeightedPath::parse(text) {
        assert!(graphic(&weighted.path) && weighted.path.starts_with('/') && weighted.weight > 0);
    }
    if let Ok(header) = Header::parse(text) {
        assert!(graphic(&header.name) && !header.name.contains(':'), "{header:?}");
        assert!(!header.value.contains(['\r', '\n', '\0']), "{header:?}");
    }
}

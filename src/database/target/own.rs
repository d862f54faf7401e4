//! The keys of an address that the driver does not know, or knows a part of: taken out of the text before it is given to the driver.
//!
//! Both forms are read as the driver reads them (`tokio_postgres::Config`), so that both find the same keys in the same text.
//!
//! **Invariant:** a text that cannot be read is left to the driver, whole, which says what is wrong with it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::config::database::PgVariables;

/// What was taken out; the last one counts where a key stands twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    pub(super) target_session_attrs: Option<String>,
}

impl Own {
    fn field(&mut self, key: &str) -> Option<&mut Option<String>> {
        match key {
            "sslmode" => Some(&mut self.sslmode),
            "sslrootcert" => Some(&mut self.sslrootcert),
            "target_session_attrs" => Some(&mut self.target_session_attrs),
            _ => None,
        }
    }

    /// Takes one key if it is of these, and says whether it was.
    fn keep(&mut self, key: &str, value: String) -> Result<bool, String> {
        if ["sslcert", "sslkey", "sslpassword"].contains(&key) {
            return Err(format!(
                "{key}: a certificate of ours is not supported, only the server's; log in by password"
            ));
        }
        if ["sslcrl", "sslcrldir"].contains(&key) {
            return Err(format!("{key}: lists of revoked certificates are not supported"));
        }
        Ok(self.field(key).map(|field| *field = Some(value)).is_some())
    }

    /// The same with what variables say of what is open.
    pub(super) fn or(self, variables: &PgVariables) -> Self {
        Self {
            sslmode: self.sslmode.or_else(|| variables.sslmode.clone()),
            sslrootcert: self.sslrootcert.or_else(|| variables.sslrootcert.clone()),
            target_session_attrs: self
                .target_session_attrs
                .or_else(|| variables.target_session_attrs.clone()),
        }
    }
}

/// The text without these keys, and the keys.
///
/// # Errors
/// A key that is known and not supported.
pub(super) fn take(text: &str) -> Result<(Cow<'_, str>, Own), String> {
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    let taken = if is_url { take_from_url(text)? } else { take_from_pairs(text)? };
    Ok(taken.map_or((Cow::Borrowed(text), Own::default()), |(rest, own)| (Cow::Owned(rest), own)))
}

fn take_from_url(text: &str) -> Result<Option<(String, Own)>, String> {
    // The credentials end at the first `@`, and may hold a `?`.
    let from = text.find('@').unwrap_or(0);
    let Some(query) = text[from..].find('?').map(|at| from + at) else { return Ok(None) };
    let (mut own, mut kept) = (Own::default(), Vec::new());
    for parameter in text[query + 1..].split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((key, value)) = parameter.split_once('=') else { return Ok(None) };
        let decoded = (percent_decode_str(key).decode_utf8(), percent_decode_str(value).decode_utf8());
        let (Ok(key), Ok(value)) = decoded else { return Ok(None) };
        if !own.keep(&key, value.into_owned())? {
            kept.push(parameter);
        }
    }
    let mut rest = text[..query].to_owned();
    for (index, parameter) in kept.into_iter().enumerate() {
        rest.push(if index == 0 { '?' } else { '&' });
        rest.push_str(parameter);
    }
    Ok(Some((rest, own)))
}

fn take_from_pairs(text: &str) -> Result<Option<(String, Own)>, String> {
    let (mut own, mut kept) = (Own::default(), Vec::new());
    let mut left = text.trim_start();
    while !left.is_empty() {
        let Some((key, value, behind)) = pair(left) else { return Ok(None) };
        if !own.keep(key, value)? {
            kept.push(left[..left.len() - behind.len()].trim_end());
        }
        left = behind.trim_start();
    }
    Ok(Some((kept.join(" "), own)))
}

/// The pair that stands first, its value without quotes and backslashes, and what stands behind it.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let end = text.find(|c: char| c.is_whitespace() || c == '=')?;
    let (key, rest) = text.split_at(end);
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (is_quoted, rest) = rest.strip_prefix('\'').map_or((false, rest), |rest| (true, rest));
    let (mut value, mut characters) = (String::new(), rest.char_indices());
    let mut end = None;
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if is_quoted => {
                end = Some(at + 1);
                break;
            }
            space if !is_quoted && space.is_whitespace() => {
                end = Some(at);
                break;
            }
            other => value.push(other),
        }
    }
    let end = end.or((!is_quoted).then_some(rest.len()))?;
    // The driver takes no empty value without quotes.
    (!key.is_empty() && (is_quoted || end > 0)).then(|| (key, value, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, [Option<String>; 3]) {
        let (rest, own) = take(text).unwrap();
        (rest.into_owned(), [own.sslmode, own.sslrootcert, own.target_session_attrs])
    }

    fn words(words: [&str; 3]) -> [Option<String>; 3] {
        words.map(|word| Some(word.to_owned()).filter(|word| !word.is_empty()))
    }

    #[test]
    fn keys_are_found_in_both_forms_however_they_are_written() {
        for (text, rest, own) in [
            (
                "postgres://me:a?b@db/x?sslmode=verify-full&user=other&sslrootcert=%2Fca.pem",
                "postgres://me:a?b@db/x?user=other",
                ["verify-full", "/ca.pem", ""],
            ),
            ("postgres://db/x?ssl%6dode=require", "postgres://db/x", ["require", "", ""]),
            ("postgres://db/x", "postgres://db/x", ["", "", ""]),
            ("host=db sslmode = require", "host=db", ["require", "", ""]),
            (
                "password='a sslmode=b' sslrootcert='it\\'s here' host=a\\ b target_session_attrs=primary",
                "password='a sslmode=b' host=a\\ b",
                ["", "it's here", "primary"],
            ),
            ("sslmode=prefer sslmode=require", "", ["require", "", ""]),
        ] {
            assert_eq!(taken(text), (rest.to_owned(), words(own)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_as_it_is() {
        for text in ["postgres://db/x?sslmode", "host=db sslmode=", "host='db sslmode=require", "just words"]
        {
            assert_eq!(taken(text), (text.to_owned(), [None, None, None]), "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_and_not_left_out() {
        for text in ["postgres://db/x?sslcert=/me.pem", "host=db sslcrl=/list.pem"] {
            assert!(take(text).unwrap_err().contains("not supported"), "{text}");
        }
    }
}

//! What `sslmode` and `sslrootcert` say, in libpq's meanings (PostgreSQL manual, "SSL Support", and the keys of
//! "Parameter Key Words"). The driver knows three of the modes and no certificates, so they are read here.
//!
//! **Invariant:** a word that is not known is refused, and never taken for a weaker one.

use std::path::PathBuf;

/// How much of TLS a connection needs. In all modes but the first it is encrypted where the server can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database) enum Mode {
    /// Never encrypted.
    Disable,
    /// Not encrypted where the server cannot; whoever answers is believed.
    Prefer,
    /// Always encrypted; whoever answers is believed, unless certificate authorities are given.
    Require,
    /// Always, by a server whose certificate one of these authorities signed.
    VerifyCa,
    /// The same, and the certificate is for the host's name.
    VerifyFull,
}

/// Whose signatures are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::database) enum Roots {
    /// Those of the certificates in a PEM file.
    File(PathBuf),
    /// Those that the system trusts.
    System,
}

/// What the settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::database) struct Wanted {
    pub(in crate::database) mode: Mode,
    pub(in crate::database) roots: Option<Roots>,
}

impl Mode {
    /// The word in an address.
    pub(in crate::database) fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let modes = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];
        if let Some(mode) = modes.into_iter().find(|mode| mode.word() == text) {
            return Ok(mode);
        }
        let words = modes.map(Self::word).join(", ");
        Err(match text {
            "allow" => {
                "sslmode=allow is not supported: take prefer, which encrypts where the server can".into()
            }
            _ => format!("sslmode is none of {words}"),
        })
    }
}

impl Wanted {
    /// Reads the two words; a word that is empty is none, as for libpq.
    ///
    /// # Errors
    /// One line for people.
    pub(in crate::database) fn read(
        sslmode: Option<&str>,
        sslrootcert: Option<&str>,
    ) -> Result<Self, String> {
        let said = |word: Option<&str>| word.filter(|word| !word.is_empty()).map(ToOwned::to_owned);
        let roots = said(sslrootcert).map(|path| match path.as_str() {
            "system" => Roots::System,
            _ => Roots::File(path.into()),
        });
        let mode = match said(sslmode) {
            Some(word) => Mode::parse(&word)?,
            None if roots == Some(Roots::System) => Mode::VerifyFull,
            None => Mode::Prefer,
        };
        match (mode, &roots) {
            (Mode::VerifyCa | Mode::VerifyFull, None) => Err(format!(
                "sslmode={0} needs a certificate authority: give its file by sslrootcert or PGSSLROOTCERT, or \
                 sslrootcert=system",
                mode.word()
            )),
            // Anybody may have a certificate of a public authority for a name of theirs: without the name it shows nothing.
            (Mode::Prefer | Mode::Require | Mode::VerifyCa, Some(Roots::System)) => {
                Err("sslrootcert=system goes with sslmode=verify-full only".into())
            }
            // With authorities at hand libpq holds the server to them, under `require` too.
            (Mode::Require, Some(_)) => Ok(Self { mode: Mode::VerifyCa, roots }),
            _ => Ok(Self { mode, roots }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sslmode: Option<&str>, sslrootcert: Option<&str>) -> Result<Mode, String> {
        Wanted::read(sslmode, sslrootcert).map(|wanted| wanted.mode)
    }

    #[test]
    fn modes_mean_what_they_mean_to_libpq() {
        assert_eq!(read(None, None), Ok(Mode::Prefer));
        assert_eq!(read(Some(""), Some("")), Ok(Mode::Prefer));
        assert_eq!(read(Some("require"), None), Ok(Mode::Require));
        assert_eq!(read(Some("require"), Some("/ca.pem")), Ok(Mode::VerifyCa));
        assert_eq!(read(Some("verify-full"), Some("/ca.pem")), Ok(Mode::VerifyFull));
        assert_eq!(read(None, Some("system")), Ok(Mode::VerifyFull));
    }

    #[test]
    fn what_would_be_weaker_than_it_looks_is_refused_with_the_way_out() {
        for (mode, roots, way_out) in [
            ("verify-full", None, "sslrootcert"),
            ("verify-ca", Some("system"), "verify-full"),
            ("require", Some("system"), "verify-full"),
            ("allow", None, "prefer"),
            ("Require", None, "verify-full"),
        ] {
            let why = read(Some(mode), roots).unwrap_err();
            assert!(why.contains(way_out), "{mode}: {why}");
        }
    }
}

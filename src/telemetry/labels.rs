//! By what things are counted: the words of metrics, tables and pages, each in one place.
//!
//! **Invariant:** a label is a word of a fixed list, so that no client can make more of them.

use serde::{Deserialize, Serialize};

use super::by::Label;

/// Makes an enum with a word for each variant.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// How many there are.
            pub const COUNT: usize = <Self as Label>::ALL.len();
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What was asked for.
    Route {
        /// A message object as JSON.
        Json => "json",
        /// A message as text.
        Plaintext => "plaintext",
        /// One row.
        Db => "db",
        /// Several rows.
        Queries => "queries",
        /// Several rows, written back.
        Updates => "updates",
        /// The page of fortunes.
        Fortunes => "fortunes",
        /// Several rows from the cache.
        CachedQueries => "cached-queries",
        /// What `--lab` adds.
        Lab => "lab",
        /// Anything that there is not.
        Other => "other",
        /// A request that reached no route: not well framed, or too large, or too slow.
        Unframed => "unframed",
    }
}

labels! {
    /// The class of a status code (RFC 9110, section 15).
    StatusClass {
        /// 1xx.
        Informational => "1xx",
        /// 2xx.
        Successful => "2xx",
        /// 3xx.
        Redirection => "3xx",
        /// 4xx.
        ClientError => "4xx",
        /// 5xx.
        ServerError => "5xx",
    }
}

labels! {
    /// Why a client's connection ended.
    CloseReason {
        /// The client closed or reset it.
        Client => "client",
        /// An answer said `Connection: close`, or was a refusal after which nothing can be read.
        Answered => "answered",
        /// It was idle for `--idle-timeout`.
        Idle => "idle",
        /// A request's head, or the client's part in the end, took too long.
        Timeout => "timeout",
        /// It was idle, and made room for a new one.
        Evicted => "evicted",
        /// There was no place for it.
        Full => "full",
        /// What served it met a fault of the program.
        Panicked => "panicked",
        /// Memory was short, and it was new, slow or idle.
        Memory => "memory",
        /// The worker is ending, or was ended with its process.
        Drain => "drain",
    }
}

labels! {
    /// Why PostgreSQL did not give what was asked for.
    DatabaseFailure {
        /// No connection, and none to be had.
        Unreached => "unreached",
        /// The connection was lost on the way.
        Lost => "lost",
        /// The request's deadline passed.
        Deadline => "deadline",
        /// Too many waited already.
        Overloaded => "overloaded",
        /// PostgreSQL answered with an error, or not with what was asked.
        Refused => "refused",
    }
}

labels! {
    /// What a client's connection is doing.
    ConnectionState {
        /// It has sent nothing yet.
        New => "new",
        /// It is idle, and holds a socket only.
        Parked => "parked",
        /// It is idle, and will be parked.
        Idle => "idle",
        /// A request has begun to come.
        Reading => "reading",
        /// A request is being handled.
        Handling => "handling",
        /// An answer is on its way, and the client takes no more as yet.
        Writing => "writing",
        /// Its end was announced.
        Closing => "closing",
    }
}

labels! {
    /// How long ago something was.
    Age {
        /// Less than a second.
        Second => "under 1 s",
        /// Less than ten.
        TenSeconds => "1 to 10 s",
        /// Less than a minute.
        Minute => "10 to 60 s",
        /// Less than ten minutes.
        TenMinutes => "1 to 10 min",
        /// Longer.
        Longer => "over 10 min",
    }
}

impl Age {
    /// That of something so many seconds ago.
    pub fn of(seconds: f64) -> Self {
        match seconds {
            seconds if seconds < 1.0 => Self::Second,
            seconds if seconds < 10.0 => Self::TenSeconds,
            seconds if seconds < 60.0 => Self::Minute,
            seconds if seconds < 600.0 => Self::TenMinutes,
            _ => Self::Longer,
        }
    }
}

impl StatusClass {
    /// That of a status code.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Successful,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_indices_and_codes_have_classes() {
        for (index, route) in Route::ALL.iter().enumerate() {
            assert_eq!(route.index(), index);
        }
        assert_eq!(Route::COUNT, Route::ALL.len());
        assert_eq!(
            [200, 404, 503, 999].map(|code| StatusClass::of(code).word()),
            ["2xx", "4xx", "5xx", "5xx"]
        );
    }
}

//! What is watched, as the number by which the kernel names it.
//!
//! **Invariant:** a token survives its way through the kernel, and none is the timer's.

const LISTENER: u64 = u64::MAX - 1;
const ORDERS: u64 = u64::MAX - 2;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Orders,
    /// One end of the line with this key: 0 the client's, 1 the server's.
    End {
        key: usize,
        side: usize,
    },
}

impl Token {
    pub(super) fn pack(self) -> u64 {
        match self {
            Self::Listener => LISTENER,
            Self::Orders => ORDERS,
            Self::End { key, side } => (key as u64) << 1 | side as u64,
        }
    }

    pub(super) fn unpack(data: u64) -> Self {
        match data {
            LISTENER => Self::Listener,
            ORDERS => Self::Orders,
            _ => Self::End {
                key: usize::try_from(data >> 1).unwrap_or(usize::MAX),
                side: usize::from(data & 1 == 1),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_way_through_the_kernel() {
        for token in [
            Token::Listener,
            Token::Orders,
            Token::End { key: 0, side: 1 },
            Token::End { key: 12_345, side: 0 },
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}

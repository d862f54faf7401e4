//! What the service says to PostgreSQL, message by message.
//!
//! **Invariant:** only the frontend's side is read, and nothing is changed on its way.

/// The cancel and TLS questions carry these numbers where a protocol version would stand.
const NOT_A_STARTUP: std::ops::RangeInclusive<u32> = 80_877_102..=80_877_104;

/// One frontend message: its kind (`P` Parse, `B` Bind, `E` Execute, `S` Sync, `Q` simple query, …) and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: char,
    pub(crate) content: Vec<u8>,
}

impl Message {
    /// The statement's text in a Parse or a simple query.
    pub(crate) fn statement(&self) -> Option<String> {
        let mut strings = self.content.split(|byte| *byte == 0);
        match self.kind {
            'P' => strings.nth(1),
            'Q' => strings.next(),
            _ => None,
        }
        .map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// The messages of one database connection, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Conversation {
    started: bool,
    partial: Vec<u8>,
    /// The startup message: user, database and settings.
    pub(crate) startup: Vec<u8>,
    pub(crate) messages: Vec<Message>,
}

impl Conversation {
    /// Takes in bytes as they travel.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(length) = self.next_length() {
            let message: Vec<u8> = self.partial.drain(..length).collect();
            if self.started {
                self.messages.push(Message { kind: char::from(message[0]), content: message[5..].to_vec() });
            } else {
                let version = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
                self.started = !NOT_A_STARTUP.contains(&version);
                self.startup = message;
            }
        }
    }

    /// The bytes of the next whole message; until the startup message they have no kind.
    fn next_length(&self) -> Option<usize> {
        let kind = usize::from(self.started);
        let length = self.partial.get(kind..kind + 4)?;
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let whole = kind + usize::try_from(length).expect("a length that fits");
        (self.partial.len() >= whole).then_some(whole)
    }

    pub(crate) fn count(&self, kind: char) -> usize {
        self.messages.iter().filter(|message| message.kind == kind).count()
    }
}

#[test]
fn messages_are_read_however_the_bytes_are_cut() {
    let mut bytes = vec![0, 0, 0, 8, 4, 210, 22, 47];
    bytes.extend([0, 0, 0, 13, 0, 3, 0, 0]);
    bytes.extend(b"user\0");
    bytes.extend(b"P\0\0\0\x12s1\0SELECT 1\0\0\0");
    bytes.extend(b"S\0\0\0\x04");
    for cut in 0..bytes.len() {
        let mut conversation = Conversation::default();
        conversation.hear(&bytes[..cut]);
        conversation.hear(&bytes[cut..]);
        let kinds: String = conversation.messages.iter().map(|message| message.kind).collect();
        assert_eq!(kinds, "PS", "cut at {cut}");
        assert_eq!(conversation.messages[0].statement().as_deref(), Some("SELECT 1"));
        assert!(conversation.startup.ends_with(b"user\0"));
    }
}

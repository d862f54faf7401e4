//! What stands on a terminal after a program has written to it: as much of ECMA-48 as our programs speak.
//!
//! **Invariant:** what is not understood changes nothing on the glass.

/// The letters, and where the next one goes.
pub(crate) struct Glass {
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// Bytes that do not make a letter or a sequence as yet.
    begun: Vec<u8>,
}

impl Glass {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self { cells: vec![vec![' '; columns]; rows], row: 0, column: 0, begun: Vec::new() }
    }

    /// Another size, with nothing on it.
    pub(crate) fn resize(&mut self, columns: usize, rows: usize) {
        *self = Self::new(columns, rows);
    }

    /// All of it, a line each.
    pub(crate) fn text(&self) -> String {
        let line = |cells: &Vec<char>| cells.iter().collect::<String>().trim_end().to_owned();
        self.cells.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.begun.push(*byte);
            if self.begun[0] == 0x1b {
                self.sequence();
            } else if let Ok(text) = std::str::from_utf8(&self.begun) {
                let letter = text.chars().next().expect("a letter");
                self.begun.clear();
                self.letter(letter);
            }
        }
    }

    /// Obeys the sequence in `begun`, once it is whole.
    fn sequence(&mut self) {
        let is_control = match self.begun.get(1) {
            None => return,
            Some(second) => *second == b'[',
        };
        let last = self.begun[self.begun.len() - 1];
        if is_control && (self.begun.len() == 2 || !(0x40..=0x7e).contains(&last)) {
            return;
        }
        let sequence = std::mem::take(&mut self.begun);
        if is_control {
            let text = String::from_utf8_lossy(&sequence[2..sequence.len() - 1]).into_owned();
            self.control(&text, last);
        }
    }

    /// Obeys a control sequence (ECMA-48, section 8.3).
    fn control(&mut self, parameters: &str, last: u8) {
        let number = |at: usize| parameters.split(';').nth(at).and_then(|text| text.parse::<usize>().ok());
        let place = |at: usize| number(at).unwrap_or(1).saturating_sub(1);
        match last {
            b'H' => (self.row, self.column) = (place(0), place(1)),
            b'G' => self.column = place(0),
            b'd' => self.row = place(0),
            b'K' => self.clear_line(),
            b'J' => {
                if number(0) == Some(2) {
                    (self.row, self.column) = (0, 0);
                }
                self.clear_line();
                self.cells.iter_mut().skip(self.row + 1).for_each(|line| line.fill(' '));
            }
            // The alternate screen begins empty.
            b'h' if parameters == "?1049" => self.cells.iter_mut().for_each(|line| line.fill(' ')),
            _ => {}
        }
    }

    fn clear_line(&mut self) {
        let column = self.column;
        if let Some(line) = self.cells.get_mut(self.row) {
            line.iter_mut().skip(column).for_each(|cell| *cell = ' ');
        }
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '\r' => self.column = 0,
            '\n' if self.row + 1 == self.cells.len() => {
                self.cells.rotate_left(1);
                self.cells[self.row].fill(' ');
            }
            '\n' => self.row += 1,
            letter if letter.is_control() => {}
            letter => {
                if let Some(cell) = self.cells.get_mut(self.row).and_then(|line| line.get_mut(self.column)) {
                    *cell = letter;
                }
                self.column += 1;
            }
        }
    }
}

#[test]
fn a_glass_shows_what_was_written_where_it_was_written() {
    let mut glass = Glass::new(10, 3);
    glass.write("one\r\nzwö\x1b[1;6H\x1b[1mx\x1b[0m".as_bytes());
    assert_eq!(glass.text(), "one  x\nzwö\n");
    glass.write(b"\x1b[2;2H\x1b[K\r\n3\r\n4");
    assert_eq!(glass.text(), "z\n3\n4");
}

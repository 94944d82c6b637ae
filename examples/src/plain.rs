//! Text of others for a terminal.

/// The text with nothing in it that could steer a terminal or turn the direction of reading: that is written as an escape,
/// so that what is shown is exact. Lines and tabs stay.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.replace("\r\n", "\n").chars() {
        if steers(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether a character is one of those that are not seen, but change how others are.
fn steers(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_steers_no_terminal_and_turns_no_line_around() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}31m\u{7}\rc"), r"a\u{1b}[2Jb\u{9b}31m\u{7}\u{d}c");
        assert_eq!(plain("abc\u{202e}fed\u{2066}\u{200b}\u{e0041}"), r"abc\u{202e}fed\u{2066}\u{200b}\u{e0041}");
        assert_eq!(plain("Café 東京\r\n\tcafe\u{301}\n"), "Café 東京\n\tcafe\u{301}\n");
    }
}

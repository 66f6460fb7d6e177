//! Text for terminals. File names and data can contain line feeds and the control sequences of terminals.

/// The text with visible escapes, such as `\n`, in place of control characters and of those that change the order of a line.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.extend(c.escape_unicode()),
            c if c.is_control() => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text in one line: line feeds and the space around them become one space. For messages of libraries.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("a\nb\u{1b}[2J\u{9b}\u{202e}.png"), r"a\nb\u{1b}[2J\u{9b}\u{202e}.png");
        assert_eq!(escape(r"Größe \n 100%"), r"Größe \n 100%");
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(one_line("failed:\r\n   0: here\n\n   1: there\n"), "failed: 0: here 1: there");
    }
}

//! Texts as people have to see them: what would hide or reorder text is spelled out.

use std::fmt::{self, Display, Formatter, Write};

use serde::{Deserialize, Deserializer};

/// A text of the trail, which may be anything; templates escape it for HTML.
pub struct Text(String);

impl Text {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name in pieces between which a line may break: after the joints of identifiers, addresses and paths.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.split_inclusive(['.', '@', '_', '/', '-'])
    }

    /// How loudly a risk or a result is shown: one of the styles of the style sheet.
    pub fn tone(&self) -> &'static str {
        match self.as_str() {
            "high" | "failure" => "bad",
            "medium" => "fair",
            _ => "plain",
        }
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        // The nulls of the trail are empty cells.
        Ok(Text(Option::<String>::deserialize(deserializer)?.map(|text| visible(&text)).unwrap_or_default()))
    }
}

/// Spells out control characters, and those that change the direction of text or take no room.
fn visible(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => result.push_str(" ⏎ "),
            '\t' => result.push(' '),
            '\r' => {}
            _ if is_hidden(character) => {
                // Writing to memory does not fail.
                let _ = write!(result, "⟨U+{:04X}⟩", u32::from(character));
            }
            _ => result.push(character),
        }
    }
    result
}

/// Controls, the bidirectional ones of Unicode (UAX 9, 3.1), spaces of no width, tags and the byte order mark.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Replaces what is not ASCII by character references: the page is then the same whatever the encodings of server and
/// client.
pub fn ascii(page: &str) -> String {
    let mut result = String::with_capacity(page.len());
    for character in page.chars() {
        if character.is_ascii() {
            result.push(character);
        } else {
            let _ = write!(result, "&#{};", u32::from(character));
        }
    }
    result
}

/// A count, shown with its thousands apart.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl Display for Count {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                formatter.write_char(',')?;
            }
            formatter.write_char(digit)?;
        }
        Ok(())
    }
}

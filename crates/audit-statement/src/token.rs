//! What [`lexer`](crate::lexer) cuts a text into.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run of white space.
    Space,
    /// `-- …`, without its line end.
    LineComment,
    /// `/* … */`, with those nested in it.
    BlockComment,
    /// An identifier without quotes, or a keyword.
    Word,
    /// `"…"` or `U&"…"`.
    QuotedIdentifier,
    /// `'…'` with any prefix, and its continuations on later lines.
    String,
    /// `$tag$ … $tag$`.
    DollarString,
    /// Digits, with point, exponent and all letters and underscores that follow.
    Number,
    /// `$1`.
    Parameter,
    /// One operator, after PostgreSQL's rules on trailing `+` and `-`.
    Operator,
    /// Any other character, and `::`, `:=` and `..`.
    Punctuation,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Offset of its first byte.
    pub start: usize,
    /// Its bytes.
    pub text: &'a [u8],
    /// Whether its end was there: false for a comment or quote that the text ends in.
    pub terminated: bool,
}

impl Token<'_> {
    /// Offset after its last byte.
    #[inline]
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it means nothing to the parser: white space or a comment.
    #[inline]
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::LineComment | Kind::BlockComment)
    }
}

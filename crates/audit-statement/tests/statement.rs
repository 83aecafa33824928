//! Statement text: tokens, comments, redaction, and the cutting of multi-statement strings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use audit_statement::comment::{pairs, trace_id, value};
use audit_statement::lexer::{Kind, Lexer};
use audit_statement::{redact, single};
use proptest::prelude::*;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The tokens that mean something, as text.
fn tokens(text: &str, standard_conforming_strings: bool) -> Vec<(Kind, &str)> {
    Lexer::new(text.as_bytes(), standard_conforming_strings)
        .filter(|token| !token.is_blank())
        .map(|token| (token.kind, &text[token.start..token.end()]))
        .collect()
}

/// Asserts that the text is one token of this kind under the setting.
fn one(text: &str, kind: Kind, standard_conforming_strings: bool) {
    let all: Vec<_> = Lexer::new(text.as_bytes(), standard_conforming_strings).collect();
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    assert_eq!(all[0].kind, kind, "{text}");
    assert!(all[0].terminated, "{text}");
}

fn redacted(text: &str) -> String {
    String::from_utf8(redact(text.as_bytes())).unwrap()
}

fn found(text: &str) -> Option<Vec<(String, String)>> {
    let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let pairs = pairs(text.as_bytes(), true)?;
    Some(pairs.into_iter().map(|pair| (text_of(pair.key), text_of(pair.value))).collect())
}

fn one_pair(key: &str, value: &str) -> Option<Vec<(String, String)>> {
    Some(vec![(key.into(), value.into())])
}

#[test]
fn strings_are_one_token() {
    for text in [
        "''",
        "'a'",
        "'it''s'",
        "''''",
        r"'C:\dir'",
        r"E'it\'s'",
        r"e'\\'",
        r"E'\''",
        "N'x'",
        "n'it''s'",
        "B'01'",
        "b''",
        "X'1F'",
        "x'1f'",
        r"U&'d\0061t'",
        "u&'it''s'",
        "'--'",
        "'/*'",
        "'$$'",
        "'\"'",
        "'a'\n'b'",
        "'a' \t\r'b'\n\n'c'",
        "'a' -- comment\n'b'",
        "'a'\n-- it's\n  'b'",
        "E'a'\n'\\''",
        "'é'",
    ] {
        one(text, Kind::String, true);
    }
    for text in [r"'it\'s'", r"'\\'", r"N'\''", r"'a'", "'it''s'", r"E'\''"] {
        one(text, Kind::String, false);
    }
    one(r"B'\'", Kind::String, false);
    for text in ["$$a$$", "$$$$", "$a$ $$ $b$ $ $a$", "$é_1$x$é_1$", "$$a'b$$", "$x$$xy$$x$"] {
        one(text, Kind::DollarString, true);
    }
}

#[test]
fn strings_end_where_they_end() {
    use Kind::{Operator, Punctuation, String, Word};
    assert_eq!(tokens("'a' 'b'", true), [(String, "'a'"), (String, "'b'")]);
    assert_eq!(tokens("'a' /*\n*/ 'b'", true), [(String, "'a'"), (String, "'b'")]);
    assert_eq!(tokens("'a'\n- 'b'", true), [(String, "'a'"), (Operator, "-"), (String, "'b'")]);
    assert_eq!(tokens(r"'a\' b", true), [(String, r"'a\'"), (Word, "b")]);
    assert_eq!(tokens("namee'x'", true), [(Word, "namee"), (String, "'x'")]);
    assert_eq!(tokens("u&b", true), [(Word, "u"), (Operator, "&"), (Word, "b")]);
    assert_eq!(tokens("a$b$c", true), [(Word, "a$b$c")]);
    assert_eq!(tokens("$a b$", true), [(Punctuation, "$"), (Word, "a"), (Word, "b$")]);
}

#[test]
fn quoted_identifiers() {
    for text in ["\"a\"", "\"a\"\"b\"", "U&\"d\\0061\"", "\"--\"", "\"it's /*\"", "\"\\\""] {
        one(text, Kind::QuotedIdentifier, true);
        one(text, Kind::QuotedIdentifier, false);
    }
}

#[test]
fn numbers_and_parameters() {
    for text in [
        "1", "12.5", ".5", "5.", "1e5", "1E-5", "1.e+5", ".5e1", "0x1F", "0o17", "0b01", "1_000", "0x_FF", "1_0.2_5",
        "123abc", "1e", "1é",
    ] {
        one(text, Kind::Number, true);
    }
    use Kind::{Number, Operator, Parameter, Punctuation, Word};
    assert_eq!(tokens("1..10", true), [(Number, "1"), (Punctuation, ".."), (Number, "10")]);
    assert_eq!(tokens("1e+x", true), [(Number, "1e"), (Operator, "+"), (Word, "x")]);
    assert_eq!(tokens("$1+$23", true), [(Parameter, "$1"), (Operator, "+"), (Parameter, "$23")]);
    assert_eq!(tokens("a.b[1]", true).len(), 6);
}

#[test]
fn operators_follow_the_rules_on_signs_and_comments() {
    use Kind::{Number, Operator, Punctuation, Word};
    assert_eq!(tokens("a=-1", true), [(Word, "a"), (Operator, "="), (Operator, "-"), (Number, "1")]);
    assert_eq!(tokens("a@-1", true), [(Word, "a"), (Operator, "@-"), (Number, "1")]);
    assert_eq!(tokens("a*/**/b", true), [(Word, "a"), (Operator, "*"), (Word, "b")]);
    assert_eq!(tokens("a+--b\nc", true), [(Word, "a"), (Operator, "+"), (Word, "c")]);
    assert_eq!(tokens("a::b:=c", true)[1], (Punctuation, "::"));
    assert_eq!(tokens("->>", true), [(Operator, "->>")]);
}

#[test]
fn comments_nest_and_hide_quotes() {
    use Kind::{String, Word};
    assert_eq!(tokens("a /* ' /* \" */ $$ */ b", true), [(Word, "a"), (Word, "b")]);
    assert_eq!(tokens("a /*/ */ b", true), [(Word, "a"), (Word, "b")]);
    assert_eq!(tokens("a /***/ b", true), [(Word, "a"), (Word, "b")]);
    assert_eq!(tokens("a -- '\nb", true), [(Word, "a"), (Word, "b")]);
    assert_eq!(tokens("'/*' a '*/'", true), [(String, "'/*'"), (Word, "a"), (String, "'*/'")]);
}

#[test]
fn what_is_unterminated_ends_with_the_text() {
    for text in ["'a", "'a''", r"E'a\'", r"E'a\", "$a$ $b$", "\"a\"\"", "/* /* */", "U&'", "'a'\n'b"] {
        let last = Lexer::new(text.as_bytes(), true).last().unwrap();
        assert_eq!((last.end(), last.terminated), (text.len(), false), "{text}");
    }
}

#[test]
fn the_last_comment_is_read() {
    let pair = one_pair("traceparent", TRACEPARENT);
    let comment = format!("/*traceparent='{TRACEPARENT}'*/");
    for text in [
        format!("SELECT 1 {comment}"),
        format!("SELECT 1; {comment}"),
        format!("SELECT 1 {comment} ; -- end"),
        format!("{comment} SELECT 1"),
        format!("/* app */ {comment} SELECT '/*a=''b''*/'"),
        format!("SELECT 1 /*a='b'*/ + 1 {comment}"),
        format!("/*a='b'*/ SELECT 1 {comment}"),
        comment.clone(),
    ] {
        assert_eq!(found(&text), pair, "{text}");
    }
}

#[test]
fn what_only_looks_like_a_comment_is_not_read() {
    for text in [
        "SELECT '/*traceparent=''x''*/'",
        r"SELECT E'\'/*a=''b''*/'",
        "SELECT $$ /*a='b'*/ $$",
        "SELECT $t$ $$ /*a='b'*/ $t$",
        "SELECT 1 AS \"/*a='b'*/\"",
        "SELECT 1 -- /*a='b'*/",
        "SELECT 1 /*a='b'*/ + 1",
        "SELECT 1 /* /*a='b'*/",
        "SELECT 1 /*a='b'",
        "SELECT 1",
        "",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
    let text = br"SELECT 'a\' /*a=''b''*/' /*c='d'*/";
    assert_eq!(pairs(text, false).unwrap()[0].key, b"c");
}

#[test]
fn pairs_are_decoded() {
    let text = r"SELECT 1 /* route='%2Fparam*d',  key%20one = 'it\'s', empty='', a\=b='1,2=%C3%A9' */";
    let pairs = found(text).unwrap();
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("route", "/param*d"), ("key one", "it's"), ("empty", ""), ("a=b", "1,2=é")]);
    let pairs = audit_statement::comment::pairs(text.as_bytes(), true).unwrap();
    assert_eq!(value(&pairs, b"empty"), Some(b"".as_slice()));
    assert_eq!(value(&pairs, b"none"), None);
}

#[test]
fn other_comments_are_no_pairs() {
    for content in [
        "",
        " ",
        "note",
        "a=b",
        "a='b",
        "a='b',",
        ",a='b'",
        "a='b' c='d'",
        "a='b';c='d'",
        "='b'",
        "a='%2'",
        "a='%zz'",
        "a='%00'",
        "a=x'b'",
        "note a='b', c",
        "a",
        "a='b'x",
        "'a'='b'",
        "+ IndexScan(t)",
        r"a='b\",
        r"a\",
        "a,b='c'",
    ] {
        assert_eq!(found(&format!("SELECT 1 /*{content}*/")), None, "{content}");
    }
}

#[test]
fn trace_ids_are_validated() {
    assert_eq!(trace_id(TRACEPARENT.as_bytes()), Some("0af7651916cd43dd8448eb211c80319c"));
    for bad in [
        "",
        "00",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        assert_eq!(trace_id(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn constants_are_replaced() {
    for (text, expected) in [
        ("SELECT 'x', 1.5, $1, B'01', $$y$$ FROM t", "SELECT ?, ?, $1, ?, ? FROM t"),
        ("UPDATE t SET a = TRUE, b = null WHERE c <> False", "UPDATE t SET a = ?, b = ? WHERE c <> ?"),
        ("INSERT INTO t VALUES ('a'\n  'b', E'c\\'d')", "INSERT INTO t VALUES (?, ?)"),
        ("SELECT -5, a - 5, a-5, (-5), a = -5, a * - + 5", "SELECT ?, a - ?, a-?, (?), a = ?, a * ?"),
        ("SELECT t.\"x\" -5, f(1) -5, a[1] - 5, $1 -5", "SELECT t.\"x\" -?, f(?) -?, a[?] - ?, $1 -?"),
        ("WHERE a BETWEEN -1 AND -2 ORDER BY -3", "WHERE a BETWEEN ? AND ? ORDER BY ?"),
        ("SELECT - /* x */ 5", "SELECT ?"),
        ("SELECT 5 - -5, -a", "SELECT ? - ?, -a"),
        ("SELECT 'x' - 5", "SELECT ? - ?"),
        ("/* a */ SELECT/* b */1 -- c\n, 2 /* d */", "SELECT ? \n, ?"),
        ("SELECT date '2020-01-01', interval'1' day", "SELECT date ?, interval? day"),
        ("SELECT U&'d!0061' UESCAPE '!'", "SELECT ? UESCAPE ?"),
        ("SELECT \"it's\", 1", "SELECT \"it's\", ?"),
        ("SELECT 'C:\\dir', 1", "SELECT ?, ?"),
        ("DO $body$ SELECT 'x' $body$", "DO ?"),
        ("", ""),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn nothing_survives_that_may_be_a_constant() {
    for (text, expected) in [
        ("SELECT 'secret", "?"),
        ("SELECT E'a\\'secret", "?"),
        ("SELECT $x$ $$ secret", "?"),
        ("SELECT \"a, 'secret'", "?"),
        ("SELECT 1 /* secret", "?"),
        ("SELECT 'a'\n-- c\n'secret'", "SELECT ?"),
        ("SELECT 0x5EC, 5_000, 5ecret", "SELECT ?, ?, ?"),
        // Which of the two texts is a string depends on standard_conforming_strings.
        (r"SELECT 'a\', secret, 'b'", "SELECT ?"),
        (r"SELECT 1, 'a\'secret', 2", "SELECT ?, ?"),
        (r"SELECT -'a\'secret'", "SELECT ?"),
        (r"SELECT U&'a\'secret'", "SELECT ?"),
    ] {
        assert_eq!(redacted(text), expected, "{text}");
    }
}

#[test]
fn one_statement_is_cut_out() {
    let text = b" SELECT 1 ; SELECT 2 /*a='b'*/;  SELECT 3; /*c='d'*/ ; -- e\n";
    assert_eq!(single(text, -1, 0), text.trim_ascii());
    assert_eq!(single(text, 0, 10), b"SELECT 1");
    assert_eq!(single(text, 11, 19), b"SELECT 2 /*a='b'*/");
    assert_eq!(single(text, 11, 9), b"SELECT 2 /*a='b'*/");
    assert_eq!(single(text, 31, 10), b"SELECT 3; /*c='d'*/ ; -- e");
    assert_eq!(single(text, 31, 0), b"SELECT 3; /*c='d'*/ ; -- e");
    assert_eq!(single(b"SELECT 1; /*c*/ SELECT 2", 0, 8), b"SELECT 1");
    assert_eq!(single(b"SELECT 1; ; ", 0, 8), b"SELECT 1");
    assert_eq!(single(b"COPY (SELECT 1 /*c*/) TO STDOUT", 6, 8), b"SELECT 1 /*c*/");
    // PostgreSQL 18 puts the location behind leading comments.
    assert_eq!(single(b" /*c*/ SELECT 1; SELECT 2", 7, 8), b"/*c*/ SELECT 1");
    assert_eq!(single(b"a", 5, 5), b"");
    assert_eq!(single(b"abc", 1, i32::MAX), b"bc");
    assert_eq!(single(b"", -1, -1), b"");
}

/// Texts of the characters that decide where tokens begin and end.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(b"''''\\\\$$\"--//**\n\t eEuU&Bxn1.09_+-=@;,()a\xff".to_vec());
    prop::collection::vec(piece, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens_are_the_text(text in hostile(), setting: bool) {
        let mut at = 0;
        for token in Lexer::new(&text, setting) {
            prop_assert_eq!(token.start, at);
            prop_assert!(!token.text.is_empty());
            prop_assert_eq!(token.text, &text[at..token.end()]);
            at = token.end();
            prop_assert!(token.terminated || at == text.len());
        }
        prop_assert_eq!(at, text.len());
    }

    #[test]
    fn a_redacted_text_has_no_constants(text in hostile(), setting: bool) {
        let redacted = redact(&text);
        for token in Lexer::new(&redacted, setting) {
            let kept = !matches!(token.kind, Kind::String | Kind::DollarString | Kind::Number)
                && (!token.is_blank() || token.kind == Kind::Space);
            prop_assert!(kept && token.terminated, "{:?} in {:?}", token, redacted.escape_ascii().to_string());
        }
    }

    #[test]
    fn secrets_do_not_survive(pieces in prop::collection::vec(prop::sample::select(vec![
        "'x7777'", "'it''s x7777'", r"E'\'x7777\\'", r"'\\x7777'", r"'x7777\'", "U&'x7777'", "N'x7777'", "B'7777'",
        "$$x7777$$", "$q$'x7777$$'$q$", "$é$x7777$é$", "'a'\n'x7777'", "'a' --'\n 'x7777'", "-7777", "+7777.7777e7",
        "0x7777", "7_777", "7777.", ".7777", "/*x7777*/", "/*/*'*/x7777*/", "--x7777'\n", "\"it's\"", "\"a\"\"'\"",
    ]), 1..8), glue in prop::sample::select(vec![" ", ", ", " = ", "\n, ", " || ", "::text,", "("])) {
        let text = pieces.join(glue);
        let redacted = redact(text.as_bytes());
        prop_assert!(!redacted.contains(&b'7'), "{} of {}", redacted.escape_ascii(), text);
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..60), hostile in hostile(), at: i32, len: i32) {
        for text in [&text, &hostile] {
            for setting in [true, false] {
                let _ = pairs(text, setting);
            }
            let _ = trace_id(text);
            let _ = (redact(text), single(text, at, len), single(text, at % 50, len % 50));
        }
    }
}

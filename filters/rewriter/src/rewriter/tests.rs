use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Action, Field, Literal, Masker, Node, Problem, Program, Scalar, push_string};
use super::*;

/// Writes what it was given between angle brackets, so that a test sees it.
#[derive(Default)]
struct Show;

impl Masker for Show {
    fn scalar(&mut self, mask: u32, depth: u8, value: Scalar<'_>, out: &mut Vec<u8>) {
        let text = match value {
            Scalar::String(s) => format!("<{mask}.{depth} {}>", s.decode()),
            Scalar::Number(n) => format!("<{mask}.{depth} #{n}>"),
            Scalar::Bool(b) => format!("<{mask}.{depth} {b}>"),
            Scalar::Null => format!("<{mask}.{depth} null>"),
        };
        push_string(&text, out);
    }

    fn whole(&mut self, mask: u32, depth: u8, out: &mut Vec<u8>) {
        push_string(&format!("<{mask}.{depth} whole>"), out);
    }
}

fn field(key: &str, action: Action) -> Field {
    Field {
        key: key.into(),
        action,
    }
}

/// {a: any, s: scalar, m: masked, o: {m: masked, o: …}, t: typed, r: replaced, p: path, n: number}
fn program() -> Arc<Program> {
    let mut typed = Node::new(vec![
        field("__typename", Action::Scalar),
        field("x", Action::Mask(7)),
        field("y", Action::Mask(8)),
    ]);
    typed.typename = Some(0);
    typed.switch = Box::new([("Open".into(), 3)]);
    Arc::new(Program {
        nodes: vec![
            Node::new(vec![
                field("a", Action::Any),
                field("s", Action::Scalar),
                field("m", Action::Mask(1)),
                field("o", Action::Object(1)),
                field("t", Action::Object(2)),
                field("r", Action::Replace(Literal::ErrorMessage)),
                field("p", Action::Path(0)),
                field("c", Action::OneOf(0)),
                field("n", Action::Number),
            ]),
            Node::new(vec![
                field("m", Action::Mask(2)),
                field("o", Action::Object(1)),
            ]),
            typed,
            Node::new(vec![
                field("__typename", Action::Scalar),
                field("x", Action::Scalar),
                field("y", Action::Mask(9)),
            ]),
        ],
        root: 0,
        sets: vec![Box::new(["data".into(), "x".into()])],
    })
}

fn rewrite_chunks(chunks: &[&[u8]], limits: Limits) -> Result<String, JsonError> {
    let mut rewriter = Rewriter::new(program(), limits);
    let mut out = Vec::new();
    for chunk in chunks {
        rewriter.push(chunk, &mut Show, &mut out)?;
        assert!(rewriter.held() <= limits.held + limits.token + chunk.len());
    }
    rewriter.finish()?;
    Ok(String::from_utf8(out).expect("the output is UTF-8"))
}

/// Rewrites whole, byte by byte and at every single split: the outcome must be one.
fn rewrite(text: &str) -> Result<String, Problem> {
    let bytes = text.as_bytes();
    let whole = rewrite_chunks(&[bytes], Limits::default());
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(
        rewrite_chunks(&single, Limits::default()),
        whole,
        "byte by byte: {text}"
    );
    for cut in 0..bytes.len().min(300) {
        let parts = [&bytes[..cut], &bytes[cut..]];
        assert_eq!(
            rewrite_chunks(&parts, Limits::default()),
            whole,
            "split at {cut}: {text}"
        );
    }
    whole.map_err(|e| e.problem)
}

#[track_caller]
fn becomes(text: &str, want: &str) {
    assert_eq!(rewrite(text).as_deref(), Ok(want));
}

#[test]
fn what_is_not_masked_stays_to_the_byte() {
    for text in [
        "{}",
        " { } \r\n",
        r#"{"a" : [ ] , "s":1.2300e+05}"#,
        "{\"a\":{\"k\\u0065y\":[1,2.50,-0,{\"deep\":[[\"\\ud83d\\ude00\",null]]}]},\n\t\"s\":\"é\\\"漢\"}",
        r#"{"o":null,"t":[null,[]],"n":[1,2]}"#,
        r#"{"s":[["x"],["y",true]]}"#,
    ] {
        becomes(text, text);
    }
}

#[test]
fn masked_values_are_replaced_and_nothing_else() {
    becomes(
        r#"{"m" : "a\u0062\n" , "s":1}"#,
        r#"{"m" : "<1.0 ab\n>" , "s":1}"#,
    );
    becomes(r#"{"m":12.30}"#, r#"{"m":"<1.0 #12.30>"}"#);
    becomes(
        r#"{"m":[ "x", ["y"], null, true ]}"#,
        r#"{"m":[ "<1.1 x>", ["<1.2 y>"], "<1.1 null>", "<1.1 true>" ]}"#,
    );
    becomes(
        r#"{"m":{"secret":["s"]},"s":1}"#,
        r#"{"m":"<1.0 whole>","s":1}"#,
    );
    becomes(r#"{"m":[{"secret":"s"}]}"#, r#"{"m":["<1.1 whole>"]}"#);
    becomes(
        r#"{"o":[{"m":"1"},{"o":{"m":"2"}}]}"#,
        r#"{"o":[{"m":"<2.0 1>"},{"o":{"m":"<2.0 2>"}}]}"#,
    );
    becomes(r#"{"\u006d":"x"}"#, r#"{"\u006d":"<1.0 x>"}"#);
}

#[test]
fn unknown_members_are_left_out_with_their_commas() {
    becomes(r#"{"u":"secret"}"#, "{}");
    becomes(r#"{"u":{"m":"x"},"s":1}"#, r#"{"s":1}"#);
    becomes(r#"{"s":1,"u":[1,{"x":"y"}],"a":2}"#, r#"{"s":1,"a":2}"#);
    becomes(r#"{ "u":1 , "v":2 , "s":3 , "w":4 }"#, r#"{    "s":3  }"#);
    becomes(r#"{"o":{"u":"x","m":"y"}}"#, r#"{"o":{"m":"<2.0 y>"}}"#);
}

#[test]
fn shapes_that_the_schema_does_not_know_become_null() {
    becomes(r#"{"s":{"x":"secret"}}"#, r#"{"s":null}"#);
    becomes(r#"{"o":"secret"}"#, r#"{"o":null}"#);
    becomes(r#"{"o":[12,{"m":"x"}]}"#, r#"{"o":[null,{"m":"<2.0 x>"}]}"#);
    becomes(
        r#"{"r":[1,{"q":2}]}"#,
        r#"{"r":"the upstream reported an error"}"#,
    );
    becomes(r#"{"r":"x"}"#, r#"{"r":"the upstream reported an error"}"#);
    becomes(
        r#"{"p":["data",0,"x","secret",{"a":1},true]}"#,
        r#"{"p":["data",0,"x",null,null,null]}"#,
    );
    becomes(r#"{"c":"data"}"#, r#"{"c":"data"}"#);
    becomes(r#"{"c":12}"#, r#"{"c":null}"#);
    becomes(r#"{"n":["1",1,{"a":1}]}"#, r#"{"n":[null,1,null]}"#);
}

#[test]
fn the_type_name_decides_only_once_it_was_seen() {
    becomes(
        r#"{"t":{"__typename":"Open","x":"1","y":"2"}}"#,
        r#"{"t":{"__typename":"Open","x":"1","y":"<9.0 2>"}}"#,
    );
    becomes(
        r#"{"t":{"x":"1","__typename":"Open","y":"2"}}"#,
        r#"{"t":{"x":"<7.0 1>","__typename":"Open","y":"<9.0 2>"}}"#,
    );
    becomes(
        r#"{"t":{"__typename":"Other","x":"1"}}"#,
        r#"{"t":{"__typename":"Other","x":"<7.0 1>"}}"#,
    );
    becomes(
        r#"{"t":{"__typename":["Open"],"x":"1"}}"#,
        r#"{"t":{"__typename":["Open"],"x":"<7.0 1>"}}"#,
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, problem) in [
        ("", Problem::Truncated),
        ("{", Problem::Truncated),
        (r#"{"m":"secret"#, Problem::Truncated),
        (r#"{"s":1"#, Problem::Truncated),
        (r#"{"s":tru"#, Problem::Truncated),
        (r#"{"s":1} x"#, Problem::Trailing),
        (r#"{"s":1}{}"#, Problem::Trailing),
        ("[]", Problem::NotAnObject),
        ("12", Problem::NotAnObject),
        ("<html>", Problem::Unexpected),
        ("\u{feff}{}", Problem::Unexpected),
        (r#"{"s":1,}"#, Problem::Unexpected),
        (r#"{"a":[1,]}"#, Problem::Unexpected),
        (r#"{"a":[,1]}"#, Problem::Unexpected),
        (r#"{,"s":1}"#, Problem::Unexpected),
        (r#"{"s" 1}"#, Problem::Unexpected),
        (r#"{"s":1 "a":2}"#, Problem::Unexpected),
        (r#"{s:1}"#, Problem::Unexpected),
        (r#"{"a":[1}"#, Problem::Unexpected),
        (r#"{"a":{"b":1]}"#, Problem::Unexpected),
        (r#"{"s":01}"#, Problem::BadToken),
        (r#"{"s":True}"#, Problem::Unexpected),
        (r#"{"s":nul}"#, Problem::BadToken),
        (r#"{"s":1.e5}"#, Problem::BadToken),
        (r#"{"s":"\x41"}"#, Problem::BadString),
        (r#"{"s":"\u12g4"}"#, Problem::BadString),
        ("{\"s\":\"a\nb\"}", Problem::BadString),
        ("{\"m\":\"a\nb\"}", Problem::BadString),
        (r#"{"s":1,"s":2}"#, Problem::DuplicateKey),
        (r#"{"s":1,"\u0073":2}"#, Problem::DuplicateKey),
        (r#"{"u":1,"u":2}"#, Problem::DuplicateKey),
        (r#"{"a":{"k":1,"k":2}}"#, Problem::DuplicateKey),
        (r#"{"m":{"k":1,"k":2}}"#, Problem::DuplicateKey),
    ] {
        assert_eq!(rewrite(text), Err(problem), "{text}");
    }
    let bad = [b"{\"s\":\"".as_slice(), &[0xc3, 0x28], b"\"}"].concat();
    assert_eq!(
        rewrite_chunks(&[&bad], Limits::default()).map_err(|e| e.problem),
        Err(Problem::Utf8)
    );
}

#[test]
fn bounds_hold_at_n_and_n_plus_one() {
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(rewrite_chunks(&[nested(127).as_bytes()], Limits::default()).is_ok());
    let deep = rewrite_chunks(&[nested(128).as_bytes()], Limits::default());
    assert_eq!(deep.map_err(|e| e.problem), Err(Problem::TooDeep));

    let limits = Limits {
        held: 8,
        token: 16,
        ..Limits::default()
    };
    let masked = |n: usize| format!("{{\"m\":\"{}\",\"s\":1}}", "x".repeat(n));
    for (n, want) in [
        (7, "{\"m\":\"<1.0 xxxxxxx>\",\"s\":1}"),
        (8, "{\"m\":\"<1.0 whole>\",\"s\":1}"),
    ] {
        let text = masked(n);
        let split: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(
            rewrite_chunks(&[text.as_bytes()], limits).as_deref(),
            Ok(want)
        );
        assert_eq!(rewrite_chunks(&split, limits).as_deref(), Ok(want));
    }
    let key = |n: usize| format!("{{\"{}\":1}}", "k".repeat(n));
    assert!(rewrite_chunks(&[key(13).as_bytes()], limits).is_ok());
    for split in [1, 5, 100] {
        let text = key(14);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(split).collect();
        let seen = rewrite_chunks(&parts, limits).map_err(|e| e.problem);
        assert_eq!(seen, Err(Problem::TooLong), "in chunks of {split}");
    }

    let many = |n: usize| {
        let members: Vec<String> = (0..n).map(|i| format!("\"k{i}\":0")).collect();
        format!("{{\"a\":{{{}}}}}", members.join(","))
    };
    let limits = Limits {
        keys: 40,
        ..Limits::default()
    };
    assert!(rewrite_chunks(&[many(40).as_bytes()], limits).is_ok());
    let seen = rewrite_chunks(&[many(41).as_bytes()], limits).map_err(|e| e.problem);
    assert_eq!(seen, Err(Problem::TooManyKeys));
}

#[test]
fn a_long_body_holds_next_to_nothing() {
    let mut rewriter = Rewriter::new(program(), Limits::default());
    let mut out = Vec::new();
    rewriter.push(b"{\"a\":[", &mut Show, &mut out).unwrap();
    for _ in 0..10_000 {
        out.clear();
        rewriter
            .push(
                b"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",{\"k\":1},12",
                &mut Show,
                &mut out,
            )
            .unwrap();
        rewriter.push(b",", &mut Show, &mut out).unwrap();
        assert!(rewriter.held() < 64);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|n| (f64::from(n) / 8.0).into()),
        ".{0,12}".prop_map(serde_json::Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map("[amostrpn_xy]|__typename|.{0,3}", inner, 0..6)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_at_any_split_comes_out_the_same_and_valid(
        value in json(), pretty in any::<bool>(), sizes in proptest::collection::vec(1usize..9, 1..12)
    ) {
        let document = serde_json::json!({"a": value.clone(), "o": value.clone(), "t": value, "s": 1});
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let whole = rewrite_chunks(&[text.as_bytes()], Limits::default()).unwrap();
        let mut rest = text.as_bytes();
        let mut parts = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break }
            let (part, tail) = rest.split_at(rest.len().min(*size));
            parts.push(part);
            rest = tail;
        }
        prop_assert_eq!(rewrite_chunks(&parts, Limits::default()).unwrap(), whole.clone());
        let seen: serde_json::Value = serde_json::from_str(&whole).unwrap();
        prop_assert_eq!(&seen["a"], &document["a"]);
    }

    #[test]
    fn it_accepts_what_serde_accepts(text in r#"\{"a":[\[\]{}",:0-9a-z\\ eE.+-]{0,14}\}"#) {
        let ours = rewrite_chunks(&[text.as_bytes()], Limits::default());
        // serde_json keeps the last of two equal names; we refuse them.
        let duplicate = matches!(ours, Err(JsonError { problem: Problem::DuplicateKey, .. }));
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        // A number beyond f64 is an error to serde_json alone.
        let range = serde.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
        // serde_json refuses lone surrogates; the grammar of JSON does not.
        let lone = serde.as_ref().is_err_and(|e| e.to_string().contains("surrogate"));
        prop_assert!(duplicate || range || lone || ours.is_ok() == serde.is_ok(), "{text} {ours:?}");
    }
}

use super::*;

fn call(name: &str, args: serde_json::Value) -> Result<serde_json::Value, String> {
    let (name, arguments, builtin) = BUILTINS.iter().find(|(n, ..)| *n == name).unwrap();
    let args: Vec<Value> = args
        .as_array()
        .unwrap()
        .iter()
        .map(|v| Value::from(v.clone()))
        .collect();
    assert_eq!(usize::from(*arguments), args.len(), "{name}");
    let value = builtin(name, &args).map_err(|e| e.to_string())?;
    Ok(serde_json::from_str(&value.to_json_str().unwrap()).unwrap())
}

macro_rules! seen {
    ($name:literal, $args:tt) => {
        call(concat!("regex.", $name), serde_json::json!($args))
    };
}

macro_rules! gives {
    ($name:literal, $args:tt, $want:tt) => {
        assert_eq!(
            seen!($name, $args),
            Ok(serde_json::json!($want)),
            "{}",
            stringify!($args)
        );
    };
}

fn matches(pattern: &str, text: &str) -> bool {
    seen!("match", [pattern, text]).unwrap() == true
}

#[test]
fn matches_as_go_does() {
    // Pattern, a text that it matches, one that it does not.
    for (pattern, yes, no) in [
        (r"^\d{3}$", "123", "1234"),
        (r"^\d$", "7", "\u{0667}"),
        (r"^\w+$", "a_1", "ä"),
        (r"^\s$", "\u{c}", "\u{b}"),
        (r"^\S$", "\u{b}", "\t"),
        (r"^[\s]$", "\n", "\u{b}"),
        (r"^[\S]$", "\u{b}", " "),
        (r"^[^\s]$", "\u{b}", "\r"),
        (r"^[[:space:]x]$", "\u{b}", "y"),
        (r"^[[:^alpha:]]$", "1", "a"),
        (r"^[]a]$", "]", "["),
        (r"^[^]a]$", "[", "]"),
        (r"^[[a]$", "[", "b"),
        (r"^[a&&b]+$", "a&b", "c"),
        (r"^[a~~]+$", "a~", "-"),
        (r"^[+--]$", ",", "."),
        (r"^[\w-]+$", "a-b", "a.b"),
        (r"^[\w-.]+$", "a-.", "a/"),
        (r"^[a-c-]+$", "b-", "d"),
        (r"^a{2}$", "aa", "a"),
        (r"^a{,2}$", "a{,2}", "aa"),
        (r"^a{ 2}$", "a{ 2}", "aa"),
        (r"^{x}$", "{x}", "x"),
        (r"^\<x\>$", "<x>", "x"),
        (r"^\Qa.b*\E+$", "a.b**", "axb"),
        (r"^(?i)straSSe$", "STRASSE", "strase"),
        (r"^(?i:a)b$", "Ab", "AB"),
        (r"(?s)^a.b$", "a\nb", "ab"),
        (r"^a.b$", "aéb", "a\nb"),
        (r"(?m)^b$", "a\nb", "ab"),
        (r"^b$", "b", "b\n"),
        (r"\bcat\b", "a cat.", "cats"),
        (r"^(?P<first>a)(?<second>b)$", "ab", "a"),
        (r"^\x41\x{e9}$", "Aé", "aé"),
        (r"^[€-₰]$", "€", "e"),
        (r"^(?U)a+$", "aa", "b"),
        (r"^\.\-\/\_$", ".-/_", "x-/_"),
        (r"^(?i)\x4B$", "k", "j"),
    ] {
        assert!(matches(pattern, yes), "{pattern} on {yes:?}");
        assert!(!matches(pattern, no), "{pattern} on {no:?}");
    }
}

#[test]
fn finds_splits_and_replaces_as_go_does() {
    gives!("find_n", ["[0-9]+", "1 22 333", -1], ["1", "22", "333"]);
    gives!("find_n", ["[0-9]+", "1 22 333", 2], ["1", "22"]);
    gives!("find_n", ["[0-9]+", "1", 0], []);
    gives!("find_n", ["a*", "baac", -1], ["", "aa", ""]);
    gives!(
        "find_all_string_submatch_n",
        ["a(x*)b(y|z)?c", "axxxbyc abzc", -1],
        [["axxxbyc", "xxx", "y"], ["abzc", "", "z"]]
    );
    gives!(
        "find_all_string_submatch_n",
        ["a(b)?", "a ab", 1],
        [["a", ""]]
    );
    // The examples of Go's documentation, and its edges.
    gives!("split", ["a", "banana"], ["b", "n", "n", ""]);
    gives!("split", ["z+", "pizza"], ["pi", "a"]);
    gives!("split", ["", "abc"], ["a", "b", "c"]);
    gives!(
        "split",
        ["a*", "abaabaccadaaae"],
        ["", "b", "b", "c", "c", "d", "e"]
    );
    gives!("split", [",", ""], [""]);
    gives!("split", ["", ""], []);
    gives!("split", [",", "a,"], ["a", ""]);
    gives!("split", ["é", "aéb"], ["a", "b"]);
    gives!("replace", ["-ab-axxb-", "a(x*)b", "T"], "-T-T-");
    gives!("replace", ["-ab-axxb-", "a(x*)b", "$1"], "--xx-");
    gives!("replace", ["-ab-axxb-", "a(x*)b", "$1W"], "---");
    gives!("replace", ["-ab-axxb-", "a(x*)b", "${1}W"], "-W-xxW-");
    gives!(
        "replace",
        ["-ab-", "a(?P<n>b)", "${n}$0$$$ ${x y}$01"],
        "-bab$$ ${x y}-"
    );
    gives!("replace", ["abc", "", "-"], "-a-b-c-");
}

#[test]
fn matches_templates() {
    gives!(
        "template_match",
        ["urn:foo:{.*}", "urn:foo:bar:baz", "{", "}"],
        true
    );
    gives!(
        "template_match",
        ["urn:foo:<.*>", "urn:bar:bar", "<", ">"],
        false
    );
    gives!(
        "template_match",
        ["a.{[0-9]{2}}.b", "a.12.b", "{", "}"],
        true
    );
    gives!(
        "template_match",
        ["a.{[0-9]{2}}.b", "ax12.b", "{", "}"],
        false
    );
    assert!(seen!("template_match", ["a{b", "ab", "{", "}"]).is_err());
    assert!(seen!("template_match", ["a}b", "ab", "{", "}"]).is_err());
    assert!(seen!("template_match", ["a", "a", "<<", ">>"]).is_err());
}

#[test]
fn knows_what_is_no_pattern() {
    for pattern in [r"^a+$", "", "a{1000}", r"[[:word:]]"] {
        gives!("is_valid", [pattern], true);
    }
    for pattern in [
        "(",
        ")",
        "[",
        "[a",
        "*",
        "a**",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        r"\",
        r"\y",
        r"\u0041",
        "(?=a)",
        "(?<!a)",
        "(?x)a",
        "(?P=n)",
        "(?P<>a)",
        r"[\d-a-\s]",
        r"[!-\s]",
        "[b-a]",
        r"[\b]",
        r"\x4",
        r"\x{}",
        r"\x{110000}",
    ] {
        assert_eq!(seen!("is_valid", [pattern]).unwrap(), false, "{pattern}");
        assert!(
            seen!("match", [pattern, "a"])
                .unwrap_err()
                .contains("invalid"),
            "{pattern}"
        );
    }
    gives!("is_valid", [1], false);
}

#[test]
fn says_what_it_can_not_do() {
    for (pattern, want) in [
        (r"\p{L}", "Unicode classes"),
        (r"[\pL]", "Unicode classes"),
        (r"\C", "`\\C`"),
        (r"\01", "octal"),
        (r"(?i)é", "ASCII only"),
        (r"(?i)[\x{c0}-\x{d6}]", "ASCII only"),
        (r"(\w{1000}){1000}", "limit"),
        (&"(".repeat(300), "nesting"),
    ] {
        for name in ["regex.match", "regex.is_valid"] {
            let args = if name == "regex.match" {
                serde_json::json!([pattern, "a"])
            } else {
                serde_json::json!([pattern])
            };
            let seen = call(name, args).unwrap_err();
            assert!(seen.contains(want) && seen.contains(name), "{seen}");
        }
    }
    assert!(seen!("match", ["(?i)k", "\u{212a}"]).is_err());
    assert!(matches("(?i)k", "é K"));
    assert_eq!(
        seen!("match", ["a", 1]).unwrap_err(),
        "regex.match: argument 2 must be a string"
    );
    assert_eq!(
        seen!("find_n", ["a", "a", 1.5]).unwrap_err(),
        "regex.find_n: argument 3 must be an integer"
    );
}

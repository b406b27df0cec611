//! README.md names only what exists.

use e2e::checkout;

/// Texts in backticks outside of code blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether a text means a path of the repository: a file or folder by its form, without blanks or
/// placeholders in capitals.
fn is_path(text: &str, top: &[String]) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let placeholder = text.split(['/', '.']).any(|p| {
        p.len() > 1 && p.chars().all(|c| c.is_ascii_uppercase() || c == '_') && p != "README"
    });
    text.chars().all(plain)
        && !placeholder
        && (top.iter().any(|t| t == first) || (text.contains('/') && !text.starts_with('/')))
}

#[test]
fn every_path_in_the_readme_exists() {
    let root = checkout();
    let top: Vec<String> = std::fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let paths: Vec<String> = quoted(&readme)
        .into_iter()
        .filter(|t| is_path(t, &top))
        .collect();
    let missing: Vec<&String> = paths.iter().filter(|p| !root.join(p).exists()).collect();
    assert!(
        missing.is_empty(),
        "README.md names {missing:?}, which are not there"
    );
}

#[test]
fn what_counts_as_a_path() {
    let top = ["filters", "justfile", "README.md"].map(str::to_owned);
    for (text, want) in [
        ("filters/engine/", true),
        ("justfile", true),
        ("README.md", true),
        ("nowhere/at/all.rs", true),
        ("just demo", false),
        ("/graphql", false),
        ("strategy/NAME.rs", false),
        ("cargo", false),
        ("Type.field", false),
        ("application/json", true),
    ] {
        assert_eq!(is_path(text, &top), want, "{text}");
    }
    assert_eq!(
        quoted("a `b` c\n```\n`no`\n```\n    `no`\n`d`\n"),
        ["b", "d"]
    );
}

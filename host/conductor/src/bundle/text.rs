//! Changes, as people read them.

use bundle::replay::Change;

/// Changes of one direction, each on a line.
pub fn changes(out: &mut String, title: &str, unit: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    out.push_str(title);
    out.push('\n');
    for change in changes {
        let Change {
            coordinate,
            old,
            new,
            decisions,
            examples,
        } = change;
        // One that takes a line by itself is enough.
        let long = examples.iter().any(|e| e.len() > 60);
        let shown = examples.iter().take(if long { 1 } else { examples.len() });
        let examples: Vec<&str> = shown.map(String::as_str).collect();
        let examples = examples.join("; ");
        out.push_str(&format!(
            "  {coordinate}: {old} → {new}, {decisions} {unit}, such as {examples}\n"
        ));
    }
}

/// Settings that differ, each on a line.
pub fn settings(out: &mut String, settings: &[(String, String, String)]) {
    for (name, old, new) in settings {
        let or_nothing = |text: &str| match text {
            "" => "(nothing)".to_owned(),
            text => text.to_owned(),
        };
        out.push_str(&format!(
            "setting {name}: {} → {}\n",
            or_nothing(old),
            or_nothing(new)
        ));
    }
}

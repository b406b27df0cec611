//! As much of XML as S3's errors and locations have: they are flat.

/// The text of the first element of a name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let open = format!("<{name}");
    let mut rest = xml;
    loop {
        let (_, after) = rest.split_once(&open)?;
        let (attributes, content) = after.split_once('>')?;
        if attributes.ends_with('/') && (attributes.starts_with([' ', '\t', '\r', '\n', '/'])) {
            return Some(String::new());
        }
        if attributes.is_empty() || attributes.starts_with([' ', '\t', '\r', '\n']) {
            let (text, _) = content.split_once('<')?;
            return Some(unescape(text.trim()));
        }
        rest = after;
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name() {
        let ns = r#"xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#;
        for (xml, want) in [
            (
                format!("<?xml?><LocationConstraint {ns}>eu-central-1</LocationConstraint>"),
                Some("eu-central-1"),
            ),
            (format!("<LocationConstraint {ns}/>"), Some("")),
            ("<LocationConstraint/>".to_owned(), Some("")),
            (
                format!("<LocationConstraint {ns}></LocationConstraint>"),
                Some(""),
            ),
            (
                "<LocationConstraints>x</LocationConstraints>".to_owned(),
                None,
            ),
            ("<LocationConstraint>x".to_owned(), None),
            ("LocationConstraint".to_owned(), None),
        ] {
            let found = element(&xml, "LocationConstraint");
            assert_eq!(found.as_deref(), want, "{xml}");
        }
        assert_eq!(
            element("<CodeX>a</CodeX><Code>b</Code>", "Code").as_deref(),
            Some("b")
        );
    }
}

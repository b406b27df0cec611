//! Operations: any document, any variables.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use engine::graphql::{ArgumentValue, Document, Limits};
use engine::mask::{self, Comparison, RuleTable};
use engine::policy::Surface;

use crate::setting::{KEYRING, SCHEMA, envelope, table};

static TABLE: LazyLock<RuleTable> = LazyLock::new(|| table(Surface::Graphql));

/// How long one may take at most: with sanitizers and without optimisation.
const LONGEST: Duration = Duration::from_secs(5);

/// A document, and behind a zero byte variables: it is planned or refused, soon.
pub fn graphql(data: &[u8]) {
    let mut parts = data.splitn(2, |b| *b == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let variables = parts.next().unwrap_or_default();
    let began = Instant::now();
    let Ok(document) = Document::parse(&text, Limits::default()) else {
        return;
    };
    if let Ok((_, operation)) = document.operation(None) {
        let plan = mask::compile(
            &SCHEMA,
            &document,
            operation,
            &TABLE,
            &envelope(),
            Some((&KEYRING, "acme")),
            mask::Limits::default(),
        );
        if let Ok(plan) = plan {
            if let Ok(variables) = serde_json::from_slice::<ArgumentValue>(variables) {
                let _ = plan.check_variables(Comparison::new(&SCHEMA, &TABLE), &variables);
            }
            let _ = (plan.sets(), plan.reasons());
        }
    }
    assert!(began.elapsed() < LONGEST, "took {:?}", began.elapsed());
}

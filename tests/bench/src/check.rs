//! Whether an answer is what its variant promises: every value masked as it should be, and all else
//! as the upstream has it. A variant that did nothing would win every table.

use anyhow::Context;
use serde_json::Value;

use crate::client::Answer;
use crate::load::{PSEUDONYM, REDACTED, SECRET};
use crate::variants::Masked;

/// Compares an answer with the upstream's body.
///
/// # Errors
/// It is another, or a value is not masked; the error says which.
pub fn check(answer: &Answer, upstream: &[u8], masked: Masked) -> anyhow::Result<()> {
    let status = answer.head.lines().next().unwrap_or_default();
    anyhow::ensure!(
        status.starts_with("HTTP/1.1 200"),
        "{status}: {}",
        String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect::<String>()
    );
    if masked != Masked::Not {
        anyhow::ensure!(
            memchr::memmem::find(&answer.body, SECRET.as_bytes()).is_none(),
            "a value is not masked"
        );
    }
    let mut got: Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    let mut want: Value = serde_json::from_slice(upstream)?;
    compare_people(&mut got, &mut want, masked)?;
    anyhow::ensure!(
        got == want,
        "the answer differs from the upstream's beside its masked values"
    );
    Ok(())
}

/// Compares the persons' values and takes them out on both sides.
fn compare_people(got: &mut Value, want: &mut Value, masked: Masked) -> anyhow::Result<()> {
    let got = people(got)?;
    let want = people(want)?;
    anyhow::ensure!(got.len() == want.len(), "the answer lacks persons");
    let mut seen = std::collections::HashSet::new();
    for (got, want) in got.iter_mut().zip(want) {
        for field in ["email", "phone"] {
            let got = got[field].take();
            let want = want[field].take();
            let right = match (masked, &got, &want) {
                (Masked::Not, got, want) => got == want,
                (Masked::Redact, Value::String(got), _) => got == REDACTED,
                (Masked::Hash, Value::String(got), _) => {
                    got.starts_with(PSEUDONYM) && seen.insert(got.clone())
                }
                (Masked::Partial, Value::String(got), Value::String(want)) => {
                    got.starts_with("****") && want.ends_with(got.trim_start_matches('*'))
                }
                (Masked::Null, Value::Null, _) => true,
                _ => false,
            };
            anyhow::ensure!(right, "a value of `{field}` is not as it should be: {got}");
        }
    }
    Ok(())
}

fn people(body: &mut Value) -> anyhow::Result<&mut Vec<Value>> {
    body.pointer_mut("/data/people")
        .and_then(Value::as_array_mut)
        .context("the answer has no persons")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;

    #[test]
    fn an_answer_that_is_not_masked_is_wrong() {
        let body = Load::USUAL.body();
        let answer = |text: &[u8]| Answer {
            head: "HTTP/1.1 200 OK\r\n\r\n".into(),
            body: text.to_vec(),
        };
        check(&answer(&body), &body, Masked::Not).expect("the upstream's own");
        check(&answer(&body), &body, Masked::Redact).expect_err("not masked");
        let text = String::from_utf8(body.clone()).expect("text");
        let half = text.replace("person.00001@acme.example", REDACTED);
        check(&answer(half.as_bytes()), &body, Masked::Redact).expect_err("one masked");
        check(&answer(half.as_bytes()), &body, Masked::Not).expect_err("changed");
    }
}

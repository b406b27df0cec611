//! What the tests share: the oracle.

use std::collections::BTreeSet;

use apollo::{Answer, Ask, Caller, Canary, Stage};

/// The values of masked fields in an answer that this caller may see.
pub fn may_see(caller: Caller, answer: &Answer) -> Vec<Canary> {
    let mut leaks = answer.leaks();
    leaks.retain(|canary| caller.sees.contains(&canary.class));
    leaks
}

/// The fields of these values.
pub fn coordinates(canaries: &[Canary]) -> BTreeSet<&'static str> {
    canaries.iter().map(|canary| canary.coordinate).collect()
}

/// Asks the server itself, then the gateway as everybody: each caller sees exactly those values of
/// the server's answer that the policy shows them. Returns the server's answer.
pub async fn each_sees_their_own(stage: &Stage, what: &str, ask: &Ask) -> Answer {
    let direct = stage.direct(ask).await;
    assert!(
        !direct.leaks().is_empty(),
        "{what} shows nothing: {direct:?}"
    );
    for caller in Caller::ALL {
        let answer = stage.ask(caller, ask).await;
        let name = caller.persona.name;
        assert_eq!(answer.status, direct.status, "{what}, {name}: {answer:?}");
        assert!(answer.complete, "{what}, {name}: {answer:?}");
        assert_eq!(
            answer.leaks(),
            may_see(caller, &direct),
            "{what}, {name}: {answer:?}"
        );
    }
    direct
}

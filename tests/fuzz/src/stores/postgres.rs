//! How connections to PostgreSQL are opened.

use std::cell::RefCell;

use engine::guard::Guard;
use serde_json::json;

use super::connection::{Script, run};
use super::{LONGEST_NAME, TENANTS, guard, has_token};

thread_local! {
    static GUARD: RefCell<Guard> = RefCell::new(guard(json!({
        "kind": "postgres",
        "objects": [{"name": "{tenant}"}],
        "users": [{"name": "app"}, {"name": "app_{tenant}"}],
    })));
}

/// What a server reads of a startup packet, in its own way: the last value of a name, and of names of
/// databases and users no more than it can keep.
#[derive(Debug)]
struct Startup {
    user: String,
    database: String,
}

fn startup(packet: &[u8]) -> Option<Startup> {
    let length = u32::from_be_bytes(packet.get(..4)?.try_into().ok()?) as usize;
    let mut parts = packet.get(8..length)?.split(|b| *b == 0);
    let (mut user, mut database) = (Vec::new(), Vec::new());
    loop {
        match (parts.next()?, &mut parts) {
            (b"", _) => break,
            (b"user", parts) => user = parts.next()?.to_vec(),
            (b"database", parts) => database = parts.next()?.to_vec(),
            (_, parts) => drop(parts.next()?),
        }
    }
    if database.is_empty() {
        database.clone_from(&user);
    }
    let known = |mut name: Vec<u8>| {
        name.truncate(LONGEST_NAME);
        String::from_utf8(name).ok()
    };
    Some(Startup {
        user: known(user)?,
        database: known(database)?,
    })
}

/// A client of PostgreSQL that says anything: a byte that chooses the pieces, then its own.
pub fn postgres(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else {
        return;
    };
    let script = Script {
        before: b"",
        answer: b"",
        after: bytes,
    };
    let [whole, others @ ..] = GUARD.with_borrow_mut(|guard| run(guard, &script, false, *seed));
    let code = bytes.get(4..8).unwrap_or_default();
    for seen in [&whole].into_iter().chain(&others) {
        assert_eq!(seen.admitted, whole.admitted, "by how it is cut");
        if !seen.admitted {
            assert_eq!(seen.to_store, b"", "nothing of it gets to the store");
            // The responder sends back what it gets: nothing of the client's.
            assert!(seen.to_responder.iter().all(|b| *b == b'\n'));
            continue;
        }
        assert_eq!(seen.to_store, bytes, "all of it gets to the store");
        assert_eq!(seen.to_responder, b"");
    }
    // Who asks for encryption and goes on without waiting for the answer is refused either way, but
    // for another reason.
    if !matches!(code, b"\x04\xd2\x16\x2f" | b"\x04\xd2\x16\x30") {
        for other in &others {
            assert_eq!(whole, *other, "by how it is cut");
        }
    }
    if whole.admitted && code != b"\x04\xd2\x16\x2e" {
        assert_eq!(code.get(..2), Some(&b"\0\x03"[..]), "another protocol");
        let read = startup(bytes).expect("a startup packet");
        let tenant = TENANTS.iter().find(|tenant| **tenant == read.database);
        let tenant = tenant.unwrap_or_else(|| panic!("nobody's: {read:?}"));
        assert!(has_token(bytes, tenant), "another's: {read:?}");
        let users = ["app".to_owned(), format!("app_{tenant}")];
        assert!(users.contains(&read.user), "another's: {read:?}");
    }
}

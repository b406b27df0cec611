//! What the cases are run with in this repository.

use std::path::PathBuf;

use bundle::Bundle;
use bundle::cases::{Authorities, Case, Kind, read_cases};
use serde::Deserialize;
use serde_json::Value;
use upstream::warrants::{self, RecordedWarrant};

/// The checkout that this was built from.
///
/// # Panics
/// There is none.
pub fn checkout() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    artifacts::checkout(&here).expect("the tests run in a checkout")
}

/// The repository's own policies.
///
/// # Panics
/// They can't be read.
pub fn bundle() -> Bundle {
    Bundle::read(&checkout().join("policies")).expect("the policies can be read")
}

/// The authorities that everybody knows.
#[derive(Debug, Clone, Copy)]
pub struct KnownAuthorities;

impl Authorities for KnownAuthorities {
    fn sign(&self, warrant: &Value) -> Result<String, String> {
        let warrant = RecordedWarrant::deserialize(warrant).map_err(|e| e.to_string())?;
        Ok(warrant.text())
    }

    fn name_keys(&self, data: &mut Value) {
        warrants::name_keys(data);
    }
}

/// All cases of a kind, by name.
///
/// # Panics
/// A case can't be read; the message names the file.
pub fn cases(kind: Kind) -> Vec<Case> {
    let directory = checkout().join("policies/cases");
    read_cases(&directory, kind, &KnownAuthorities).unwrap_or_else(|e| panic!("{e}"))
}

/// A case that is made up by a test.
///
/// # Panics
/// It has another form than the files of a case.
pub fn case(name: &str, kind: Kind, input: &Value, want: &Value) -> Case {
    // From texts: a body that stands in a file is taken as it is written.
    let input = serde_json::from_str(&input.to_string()).expect("the input has its form");
    let want = serde_json::from_str(&want.to_string()).expect("the wants have their form");
    Case::new(name, kind, input, want, &KnownAuthorities).expect("the case has its form")
}

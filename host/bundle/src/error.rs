use std::path::PathBuf;

/// Why a policy directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or directory can't be read.
    #[error("can't read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What has a policy file's name is something else.
    #[error("{path} is no file but something else: a directory, a pipe or a device")]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// Directories without an end.
    #[error("{path} is too many directories deep: do links lead in a circle?")]
    Deep {
        /// Where.
        path: PathBuf,
    },
    /// Data that would be left out.
    #[error("{path} is not read: write it as data.json")]
    Yaml {
        /// The file.
        path: PathBuf,
    },
    /// Data in the place of a rule.
    #[error(
        "the policies in {path} have data at `{key}`, where {module} has a rule: the data would be its value"
    )]
    OverRule {
        /// The directory.
        path: PathBuf,
        /// The path in the data.
        key: String,
        /// The rule's file.
        module: String,
    },
    /// A data file is not JSON.
    #[error("{path} is not JSON: {error}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// The settings can't be read.
    #[error("{path} can't be used: {error}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// The manifest of persisted queries can't be used.
    #[error("{path}: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two data files say different things of one place.
    #[error("{path} redefines `{key}`, which a file of a directory above or below defines")]
    Conflict {
        /// The file.
        path: PathBuf,
        /// The path in the data.
        key: String,
    },
    /// There is no policy at all.
    #[error("{path} holds no *.rego file")]
    NoModules {
        /// The directory.
        path: PathBuf,
    },
    /// An archive without a schema.
    #[error(
        "{path} holds no schema.graphql, which `opa build` leaves out: `conductor bundle build {path} \
         --schema FILE` makes a bundle with one"
    )]
    NoSchema {
        /// The archive.
        path: PathBuf,
    },
    /// A directory that should hold the filters' code.
    #[error("{path} holds none of residency.wasm, masking.wasm, guard.wasm")]
    NoFilters {
        /// The directory.
        path: PathBuf,
    },
    /// The file is no bundle.
    #[error("{path} is no bundle that can be used: {error}")]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        error: crate::ArchiveError,
    },
    /// The data lacks what the rules rely on, or names what does not exist.
    #[error("the policies in {path} can't be used: policy data {at}: {reason}")]
    Data {
        /// The directory.
        path: PathBuf,
        /// Section and key, such as `ig.fields["Contact.email"]`.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// The parts are there but do not work.
    #[error("the policies in {path} can't be used: {error}")]
    Invalid {
        /// The directory, or the file of it that is at fault.
        path: PathBuf,
        /// What the filters say.
        error: engine::config::ConfigError,
    },
    /// A guard could not work with the policies.
    #[error("the policies in {path} can't guard the store `{store}`: {reason}")]
    Guard {
        /// The directory.
        path: PathBuf,
        /// The store's name.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// The policies load but give no decision for a kind of caller.
    #[error("the policies in {path} give no decision for {caller}: {reason}")]
    Undecided {
        /// The directory.
        path: PathBuf,
        /// Who, where and with what: all that the decision was asked for.
        caller: String,
        /// Why.
        reason: String,
    },
}

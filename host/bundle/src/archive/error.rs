use crate::key::KeyError;

/// Why bytes are no bundle, or files can't become one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Io(std::io::Error),
    /// Too many bytes.
    #[error("it has {what} than {most} bytes")]
    TooLarge {
        /// `more`, or what it would have when it is unpacked.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A file that is parsed has too many bytes.
    #[error("`{name}` has more than {most} bytes")]
    LargeFile {
        /// Its name.
        name: String,
        /// How many it may have.
        most: u64,
    },
    /// It grows by far more than policies do.
    #[error("it expands to more than {0} times its size")]
    Expands(usize),
    /// No gzip, or cut off.
    #[error("it is no whole gzip file: {0}")]
    Gzip(std::io::Error),
    /// Something behind its end.
    #[error("{0} bytes stand behind its end")]
    Trailing(usize),
    /// No tar inside.
    #[error("what is compressed is no whole tar file: {0}")]
    Tar(std::io::Error),
    /// More files than any bundle has.
    #[error("it has more than {0} files")]
    TooMany(usize),
    /// A name that may not be.
    #[error("the name {name:?} can't be used: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No file and no directory.
    #[error("`{name}` is {kind}: a bundle holds plain files only")]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Two files of one name.
    #[error("`{0}` stands in it twice")]
    Duplicate(String),
    /// A file that this project does not load.
    #[error("`{name}` can't be used: {reason}")]
    Unsupported {
        /// Its name.
        name: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// There is no manifest.
    #[error("it has no .manifest")]
    NoManifest,
    /// The manifest says something that can't be.
    #[error(".manifest: {0}")]
    Manifest(String),
    /// One root is inside another.
    #[error(".manifest: the roots `{0}` and `{1}` overlap")]
    Roots(String, String),
    /// A package or data of nobody's.
    #[error("`{name}`: {what} is outside of the roots {roots}")]
    Outside {
        /// The file.
        name: String,
        /// The package, or the path of the data.
        what: String,
        /// The roots.
        roots: String,
    },
    /// Something in it can't be read.
    #[error(transparent)]
    Content(#[from] Box<crate::BundleError>),
    /// A module does not parse.
    #[error(transparent)]
    Module(#[from] engine::policy::PolicyError),
    /// The signatures' file has another form.
    #[error(".signatures.json: {0}")]
    Signatures(String),
    /// A key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not signed.
    #[error("it is not signed: it has no .signatures.json")]
    Unsigned,
    /// The token has another form.
    #[error("the signature can't be read: {0}")]
    Form(String),
    /// Another algorithm than the one that is believed.
    #[error("it is signed by {0}: only ES256 is believed")]
    Algorithm(String),
    /// Nobody of that name is believed.
    #[error("it is signed by the key `{0}`, which is not among those that are believed")]
    UnknownKey(String),
    /// The signature is none of that key's.
    #[error("the signature is none of the key `{0}`")]
    Signature(String),
    /// It is meant for another use.
    #[error("it is signed for the scope `{signed}`, not `{want}`")]
    Scope {
        /// What the signature says.
        signed: String,
        /// What was asked for.
        want: String,
    },
    /// A file is another than the one that was signed.
    #[error("`{0}` is not what was signed")]
    Changed(String),
    /// A file that was not signed.
    #[error("`{0}` was not there when it was signed")]
    Added(String),
    /// A file that was signed and is not there.
    #[error("`{0}` was signed and is missing")]
    Missing(String),
    /// It is as it was signed, and no bundle that can be used.
    #[error("it is as it was signed, and can't be used: {0}")]
    Content(String),
    /// The files are as signed, and the archive around them is not as this program makes it.
    #[error(
        "the files are as signed, and the archive around them is not as `bundle build` makes it: something \
         changed it, or another tool made it"
    )]
    Repacked,
    /// What stands beside it does not belong to it.
    #[error("{name}: {reason}")]
    Beside {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

//! From files to bytes, the same bytes for the same files: no time, no owner, one order, and a gzip
//! header (RFC 1952) that says nothing.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::ArchiveError;
use crate::tree::Tree;

/// What the gzip header says of the system: unknown.
const NO_SYSTEM: u8 = 255;

pub(super) fn pack(files: &Tree) -> Result<Vec<u8>, ArchiveError> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files.iter() {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_path(name).map_err(|_| ArchiveError::Name {
            name: name.to_owned(),
            reason: "it is too long, or no relative path",
        })?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, bytes).map_err(ArchiveError::Io)?;
    }
    let tar = tar.into_inner().map_err(ArchiveError::Io)?;
    let mut gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(NO_SYSTEM)
        .write(Vec::new(), Compression::best());
    gzip.write_all(&tar).map_err(ArchiveError::Io)?;
    gzip.finish().map_err(ArchiveError::Io)
}

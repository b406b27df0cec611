//! Following a log and what was rotated beside it: one batch at a time. It blocks.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files::{self, Found, HEAD};
use crate::intake::Intake;
use crate::mask::MaskPolicy;
use crate::record::{Batch, Checkpoint, FileId};
use crate::split;

/// Bytes that are read and stored at once: the more, the fewer pages of the store's indexes are written again.
const CHUNK: usize = 16 << 20;

/// How long a file that is not written any more is waited for: who still had it open has let it go.
const GRACE: Duration = Duration::from_secs(10);

/// Names that are no log any more.
const COMPRESSED: [&str; 4] = [".gz", ".zst", ".xz", ".bz2"];

/// A log.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    source: String,
    longest: usize,
    tails: BTreeMap<FileId, Tail>,
}

/// A file of it.
#[derive(Debug)]
struct Tail {
    checkpoint: Checkpoint,
    /// Held open, so that it can be read to its end when it is deleted.
    file: Option<File>,
    /// Since when it has not grown.
    idle: Option<Instant>,
    /// How far the end of a line that is too long was looked for.
    looked: u64,
}

/// What a step gave.
#[derive(Debug)]
pub enum Step {
    /// A batch to be stored; after that there may be more at once.
    Batch(Box<Batch>),
    /// Nothing new.
    Idle,
}

impl Follower {
    /// A log that was read as far as this.
    pub fn new(path: &Path, longest: usize, known: Vec<Checkpoint>) -> Self {
        let tails = known.into_iter().map(|checkpoint| {
            let tail = Tail {
                file: None,
                idle: None,
                looked: 0,
                checkpoint,
            };
            (tail.checkpoint.file, tail)
        });
        Self {
            path: path.to_owned(),
            source: path.to_string_lossy().into_owned(),
            longest,
            tails: tails.collect(),
        }
    }

    /// Reads on. If the batch can't be stored, this follower knows more than is stored: begin with another.
    ///
    /// # Errors
    /// A file or the directory can't be read.
    pub fn step(&mut self, mask: Option<&mut MaskPolicy>, now: Instant) -> io::Result<Step> {
        let (found, mut open) = self.look()?;
        let known: Vec<Checkpoint> = self.tails.values().map(|t| t.checkpoint.clone()).collect();
        let plan = files::plan(&known, &found);
        let mut intake = Intake::new(&self.source, mask);
        for lost in plan.lost {
            let detail = match lost.why {
                "cut" => format!(
                    "it was cut after {} bytes were read, and no copy goes on",
                    lost.at
                ),
                _ => format!("it is gone, and was read to byte {}", lost.at),
            };
            let name = if lost.name.is_empty() {
                &self.source
            } else {
                &lost.name
            };
            intake.gap(lost.why, detail, &[], name, lost.at);
        }
        for id in plan.forget {
            self.tails.remove(&id);
            intake.batch.forget.push(id);
        }
        for (id, at) in &plan.read {
            let Some(file) = found.iter().find(|f| f.id == *id) else {
                continue;
            };
            let tail = self.tails.entry(*id).or_insert_with(|| Tail::new(*id));
            let moved = tail.checkpoint.at != *at;
            if moved {
                // Another file by the same inode, or a copy of one that is known.
                *tail = Tail {
                    file: tail.file.take(),
                    ..Tail::new(*id)
                };
            }
            if tail.file.is_none() && (!tail.checkpoint.done || file.len > *at) {
                tail.file = open.remove(id);
            }
            if moved {
                tail.advance(*at)?;
                intake.batch.checkpoints.push(tail.checkpoint.clone());
            }
            let grew = tail.read(file, &mut intake, self.longest)?;
            if grew {
                // One file at a time: its decisions and how far it is read belong together.
                intake.batch.checkpoints.retain(|c| c.file != *id);
                intake.batch.checkpoints.push(tail.checkpoint.clone());
                let at = tail.checkpoint.at;
                return Ok(Step::Batch(Box::new(intake.done(&file.name, at))));
            }
            if tail.over(file, now) {
                tail.end(file, &mut intake)?;
                intake.batch.checkpoints.retain(|c| c.file != *id);
                intake.batch.checkpoints.push(tail.checkpoint.clone());
            }
        }
        // Held open only because it was deleted before it was read.
        let gone = |tail: &Tail| {
            let deleted = |f: &File| f.metadata().is_ok_and(|m| m.nlink() == 0);
            tail.checkpoint.done && tail.file.as_ref().is_none_or(deleted)
        };
        let there: Vec<FileId> = found.iter().filter(|f| !f.deleted).map(|f| f.id).collect();
        let left: Vec<FileId> = self
            .tails
            .iter()
            .filter(|(id, tail)| !there.contains(id) && gone(tail))
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.tails.remove(&id);
            intake.batch.checkpoints.retain(|c| c.file != id);
            intake.batch.forget.push(id);
        }
        let batch = intake.done(&self.source, 0);
        let news =
            !batch.gaps.is_empty() || !batch.forget.is_empty() || !batch.checkpoints.is_empty();
        Ok(match news {
            true => Step::Batch(Box::new(batch)),
            false => Step::Idle,
        })
    }

    /// The log, what is beside it, and what is held open and was deleted.
    fn look(&self) -> io::Result<(Vec<Found>, BTreeMap<FileId, File>)> {
        let mut found = Vec::new();
        let mut open = BTreeMap::new();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((found, open)),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let of = path.file_name().unwrap_or_default().to_string_lossy();
            let behind = of.strip_prefix(&*name);
            let beside = behind.is_some_and(|end| {
                end.is_empty()
                    || (end.starts_with(['.', '-']) && !COMPRESSED.iter().any(|c| end.ends_with(c)))
            });
            if !beside {
                continue;
            }
            // Opening a pipe waits for a writer, and a link beside the log leads to what is no log. The log
            // itself may be a link.
            let current = path == self.path;
            let kind = match current {
                true => std::fs::metadata(&path),
                false => std::fs::symlink_metadata(&path),
            };
            match kind {
                Ok(kind) if !kind.is_file() && current => {
                    let what = "it is no file, but a directory, a pipe or a device";
                    return Err(named(&path, io::Error::other(what)));
                }
                Ok(kind) if !kind.is_file() => continue,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(named(&path, error)),
            }
            // Renamed or deleted between: the next look sees it where it is.
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(named(&path, error)),
            };
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                continue;
            }
            let id = identity(&metadata);
            if open.contains_key(&id) {
                // Two names of one file.
                let same = found.iter_mut().find(|f| f.id == id);
                if let Some(same) = same {
                    same.current |= current;
                }
                continue;
            }
            let mut seen = see(&file, &metadata, path.display().to_string())?;
            seen.current = current;
            found.push(seen);
            open.insert(id, file);
        }
        for (id, tail) in &self.tails {
            if let Some(file) = &tail.file
                && !open.contains_key(id)
            {
                let name = format!("{} (deleted)", self.source);
                let mut seen = see(file, &file.metadata()?, name)?;
                seen.deleted = true;
                found.push(seen);
            }
        }
        Ok((found, open))
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn identity(metadata: &Metadata) -> FileId {
    FileId {
        dev: metadata.dev(),
        ino: metadata.ino(),
    }
}

fn see(file: &File, metadata: &Metadata, name: String) -> io::Result<Found> {
    Ok(Found {
        id: identity(metadata),
        name,
        current: false,
        deleted: false,
        len: metadata.len(),
        modified: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        head: piece(file, 0, usize::try_from(HEAD).unwrap_or(0))?,
    })
}

/// As many bytes from a place on, or fewer at the end.
fn piece(file: &File, at: u64, most: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(at);
    let mut bytes = vec![0; most.min(usize::try_from(left).unwrap_or(usize::MAX))];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

impl Tail {
    fn new(file: FileId) -> Self {
        Self {
            checkpoint: Checkpoint {
                file,
                at: 0,
                head: files::head(&[]),
                head_len: 0,
                done: false,
            },
            file: None,
            idle: None,
            looked: 0,
        }
    }

    /// The file's first bytes, as far as they were read.
    fn remember(&mut self) -> io::Result<()> {
        let want = files::head_len(self.checkpoint.at);
        if let Some(file) = &self.file {
            let bytes = piece(file, 0, usize::try_from(want).unwrap_or(0))?;
            self.checkpoint.head = files::head(&bytes);
            self.checkpoint.head_len = bytes.len() as u64;
        }
        Ok(())
    }

    /// Takes whole lines in. Says whether there were any.
    fn read(&mut self, found: &Found, intake: &mut Intake<'_>, longest: usize) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let begin = self.checkpoint.at;
        if found.len <= begin {
            return Ok(false);
        }
        let bytes = piece(file, begin, CHUNK.max(longest + 1))?;
        let split = split::split(&bytes, usize::MAX);
        if split.whole == 0 {
            if bytes.len() <= longest {
                return Ok(false);
            }
            return self.pass(found, intake, &bytes);
        }
        for range in split.lines {
            let at = begin + range.start as u64;
            let line = bytes.get(range).unwrap_or_default();
            if line.len() > longest {
                too_long(intake, line, &found.name, at, line.len() as u64);
            } else {
                intake.line(line, &found.name, at);
            }
        }
        self.advance(begin + split.whole as u64)?;
        Ok(true)
    }

    fn advance(&mut self, at: u64) -> io::Result<()> {
        self.checkpoint.at = at;
        self.checkpoint.done = false;
        self.idle = None;
        self.looked = 0;
        if self.checkpoint.head_len < files::head_len(at) {
            self.remember()?;
        }
        Ok(())
    }

    /// Looks for the end of a line that is too long.
    fn pass(&mut self, found: &Found, intake: &mut Intake<'_>, bytes: &[u8]) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let begin = self.checkpoint.at;
        let mut at = self.looked.max(begin + bytes.len() as u64);
        loop {
            let more = piece(file, at, CHUNK)?;
            if more.is_empty() {
                self.looked = at;
                return Ok(false);
            }
            if let Some(end) = memchr::memchr(b'\n', &more) {
                let end = at + end as u64;
                too_long(intake, bytes, &found.name, begin, end - begin);
                self.advance(end + 1)?;
                return Ok(true);
            }
            at += more.len() as u64;
        }
    }

    /// Whether nothing more comes: another file is the log, and this one has not grown for a while.
    fn over(&mut self, found: &Found, now: Instant) -> bool {
        if found.current || self.checkpoint.done {
            return false;
        }
        now.saturating_duration_since(*self.idle.get_or_insert(now)) >= GRACE
    }

    /// Reads no more of it. What is left has no end.
    fn end(&mut self, found: &Found, intake: &mut Intake<'_>) -> io::Result<()> {
        let at = self.checkpoint.at;
        if let Some(file) = &self.file
            && found.len > at
        {
            let rest = piece(file, at, CHUNK)?;
            let bytes = found.len - at;
            let detail = format!("the last line has {bytes} bytes and no end");
            intake.gap("torn", detail, &rest, &found.name, at);
            self.checkpoint.at = found.len;
            self.remember()?;
        }
        self.checkpoint.done = true;
        if !found.deleted {
            self.file = None;
        }
        Ok(())
    }
}

fn too_long(intake: &mut Intake<'_>, line: &[u8], name: &str, at: u64, bytes: u64) {
    intake.batch.lines += 1;
    intake.batch.malformed += 1;
    let detail = format!("a line of {bytes} bytes is too long");
    intake.gap("too-long", detail, line, name, at);
}

#[cfg(test)]
mod tests;

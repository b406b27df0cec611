use std::io::Write;

use super::*;
use crate::line;

/// A directory with a log, and what a sink would hold.
struct World {
    directory: tempfile::TempDir,
    follower: Option<Follower>,
    checkpoints: BTreeMap<FileId, Checkpoint>,
    ids: Vec<String>,
    gaps: Vec<(&'static str, u64)>,
    lines: u64,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            follower: None,
            checkpoints: BTreeMap::new(),
            ids: Vec::new(),
            gaps: Vec::new(),
            lines: 0,
            now: Instant::now(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.at(name));
        file.unwrap().write_all(bytes.as_ref()).unwrap();
    }

    fn decide(&self, name: &str, ids: std::ops::Range<u32>) {
        for id in ids {
            self.append(name, decision(id) + "\n");
        }
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// Reads all that is new, and stores it.
    fn read(&mut self) {
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        let log = self.directory.path().join("log");
        let known = || self.checkpoints.values().cloned().collect();
        let follower = self
            .follower
            .get_or_insert_with(|| Follower::new(&log, 4_000, known()));
        let Step::Batch(batch) = follower.step(None, self.now).unwrap() else {
            return false;
        };
        for id in batch.forget {
            self.checkpoints.remove(&id);
        }
        for checkpoint in batch.checkpoints {
            self.checkpoints.insert(checkpoint.file, checkpoint);
        }
        self.ids.extend(batch.records.into_iter().map(|r| r.id));
        self.gaps.extend(
            batch
                .gaps
                .into_iter()
                .map(|g| (g.why, g.at.cast_unsigned())),
        );
        self.lines += batch.lines;
        true
    }

    fn crash(&mut self) {
        self.follower = None;
    }

    fn wait(&mut self) {
        self.read();
        self.now += GRACE;
        self.read();
    }

    /// Each decision once, in any order.
    fn assert(&self, want: std::ops::Range<u32>) {
        let mut ids = self.ids.clone();
        ids.sort();
        let mut want: Vec<String> = want.map(|n| format!("dec_{n}")).collect();
        want.sort();
        assert_eq!(ids, want);
    }
}

fn decision(id: u32) -> String {
    line::tests::access(Some(line::tests::masking(&format!("dec_{id}"))), None).to_string()
}

#[test]
fn a_log_is_read_as_it_grows() {
    let mut world = World::new();
    world.read();
    world.decide("log", 0..3);
    world.read();
    let whole = decision(3);
    world.append("log", &whole[..100]);
    world.read();
    world.crash();
    world.read();
    world.append("log", &whole[100..]);
    world.read();
    world.assert(0..3);
    world.append("log", "\n");
    world.read();
    world.assert(0..4);
    assert!(world.gaps.is_empty());
    assert_eq!(world.lines, 4);
}

#[test]
fn a_rotation_is_finished_before_it_is_left() {
    let mut world = World::new();
    world.decide("log", 0..2);
    world.read();
    // The writer keeps the old file for a while.
    world.rename("log", "log.1");
    world.decide("log.1", 2..4);
    world.decide("log", 4..6);
    world.read();
    world.decide("log.1", 6..7);
    world.wait();
    world.assert(0..7);
    assert!(world.checkpoints.values().any(|c| c.done));
    // What was done may go, and what was not read yet is read from the open file.
    world.rename("log", "log.2");
    std::fs::remove_file(world.at("log.1")).unwrap();
    world.read();
    world.decide("log.2", 7..9);
    std::fs::remove_file(world.at("log.2")).unwrap();
    world.wait();
    world.assert(0..9);
    assert!(world.gaps.is_empty(), "{:?}", world.gaps);
    assert!(world.checkpoints.is_empty());
}

#[test]
fn several_rotations_while_nobody_reads() {
    let mut world = World::new();
    world.decide("log", 0..2);
    world.read();
    world.crash();
    world.decide("log", 2..4);
    for (turn, older) in [(4, vec![]), (6, vec![1]), (8, vec![2, 1])] {
        for number in older {
            world.rename(&format!("log.{number}"), &format!("log.{}", number + 1));
        }
        world.rename("log", "log.1");
        world.decide("log", turn..turn + 2);
    }
    world.append("log.1.gz", "compressed");
    world.append("logbook", "another log");
    world.read();
    world.assert(0..10);
    assert!(world.gaps.is_empty());
}

#[test]
fn the_first_look_reads_what_lies_beside() {
    let mut world = World::new();
    world.decide("log.1", 0..2);
    world.decide("log", 2..4);
    world.read();
    world.assert(0..4);
    assert_eq!(world.ids, ["dec_0", "dec_1", "dec_2", "dec_3"]);
}

#[test]
fn what_vanished_unread_is_a_gap() {
    let mut world = World::new();
    world.decide("log", 0..2);
    world.read();
    world.crash();
    std::fs::remove_file(world.at("log")).unwrap();
    world.append("keeps-the-inode", "");
    world.decide("log", 2..3);
    world.read();
    world.assert(0..3);
    let [(why, at)] = world.gaps.as_slice() else {
        panic!("{:?}", world.gaps)
    };
    assert!(["gone", "cut"].contains(why) && *at > 500);
}

#[test]
fn copied_and_cut() {
    let mut world = World::new();
    world.decide("log", 0..5);
    world.read();
    world.decide("log", 5..7);
    std::fs::copy(world.at("log"), world.at("log.1")).unwrap();
    File::options()
        .write(true)
        .truncate(true)
        .open(world.at("log"))
        .unwrap();
    world.read();
    world.assert(0..7);
    world.decide("log", 7..20);
    world.wait();
    world.assert(0..20);
    assert!(world.gaps.is_empty(), "{:?}", world.gaps);
    // Cut, and nobody copied.
    File::options()
        .write(true)
        .truncate(true)
        .open(world.at("log"))
        .unwrap();
    world.decide("log", 20..22);
    world.read();
    world.assert(0..22);
    assert_eq!(world.gaps.iter().map(|g| g.0).collect::<Vec<_>>(), ["cut"]);
}

#[test]
fn a_cut_to_nothing_is_told_once() {
    let mut world = World::new();
    world.decide("log", 0..5);
    world.read();
    File::options()
        .write(true)
        .truncate(true)
        .open(world.at("log"))
        .unwrap();
    for _ in 0..3 {
        world.wait();
        world.crash();
    }
    assert_eq!(world.gaps.len(), 1, "{:?}", world.gaps);
}

#[test]
fn torn_lines_are_told() {
    let mut world = World::new();
    let torn = decision(100);
    // The writer crashed, and the next one went on in the same file.
    world.append("log", &torn[..200]);
    world.decide("log", 0..2);
    world.append("log", &torn[..300]);
    world.read();
    world.assert(0..2);
    assert_eq!(world.gaps, [("torn", 0)]);
    // Or in another.
    world.rename("log", "log.1");
    world.decide("log", 2..3);
    world.wait();
    world.assert(0..3);
    assert_eq!(world.gaps.len(), 2, "{:?}", world.gaps);
    assert!(world.gaps.iter().all(|(why, _)| *why == "torn"));
    world.crash();
    world.wait();
    assert_eq!(world.gaps.len(), 2, "told once");
}

#[test]
fn odd_lines_are_counted_and_passed() {
    let mut world = World::new();
    world.append("log", "no JSON\n\n{}\n");
    world.append("log", "x".repeat(4_001) + "\n");
    world.decide("log", 0..1);
    world.read();
    world.assert(0..1);
    let why: Vec<&str> = world.gaps.iter().map(|g| g.0).collect();
    assert_eq!(why, ["malformed", "malformed", "too-long"]);
    assert_eq!(world.lines, 5);
}

#[test]
fn the_end_of_an_endless_line_is_found_later() {
    let mut world = World::new();
    world.append("log", vec![b'x'; CHUNK + 5]);
    world.read();
    assert!(world.gaps.is_empty());
    world.append("log", vec![b'y'; 2 * CHUNK]);
    world.read();
    assert!(world.gaps.is_empty());
    world.append("log", "z\n");
    world.decide("log", 0..2);
    world.read();
    world.assert(0..2);
    assert_eq!(world.gaps, [("too-long", 0)]);
}

#[test]
fn more_than_a_batch() {
    let mut world = World::new();
    let one = decision(0).len() as u32 + 1;
    let many = 2 * CHUNK as u32 / one + 10;
    let text: String = (0..many).map(|n| decision(n) + "\n").collect();
    world.append("log", text);
    world.read();
    world.assert(0..many);
}

#[test]
fn what_was_not_stored_is_read_again() {
    let mut world = World::new();
    world.decide("log", 0..2);
    world.read();
    world.decide("log", 2..4);
    let log = world.at("log");
    let known = world.checkpoints.values().cloned().collect();
    let mut lost = Follower::new(&log, 4_000, known);
    assert!(matches!(lost.step(None, world.now).unwrap(), Step::Batch(b) if b.records.len() == 2));
    world.crash();
    world.read();
    world.assert(0..4);
}

#[test]
fn what_is_no_file_beside_a_log_is_left_alone() {
    let mut world = World::new();
    world.decide("log", 0..2);
    let pipe = world.at("log.pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    world.append("secrets", "root:x:0:0\n");
    std::os::unix::fs::symlink(world.at("secrets"), world.at("log.1")).unwrap();
    std::fs::create_dir(world.at("log.d")).unwrap();
    world.read();
    world.assert(0..2);
    assert!(world.gaps.is_empty(), "{:?}", world.gaps);
    // The log itself may be a link.
    let mut linked = World::new();
    linked.decide("elsewhere", 0..2);
    std::os::unix::fs::symlink(linked.at("elsewhere"), linked.at("log")).unwrap();
    linked.read();
    linked.assert(0..2);
}

#[test]
fn a_log_that_is_no_file_is_told_and_not_waited_for() {
    let world = World::new();
    let pipe = world.at("log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut follower = Follower::new(&pipe, 4_000, Vec::new());
    let said = follower.step(None, world.now).unwrap_err().to_string();
    assert!(said.contains("log: it is no file"), "{said}");
}

//! Small disks of a test's own, that get full and fail. They need the right to mount.

#![expect(dead_code, reason = "each test takes what it needs")]

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system that is mounted for as long as this lives.
pub struct Disk {
    at: PathBuf,
    /// The file that holds it, where it is not in memory.
    image: Option<PathBuf>,
}

impl Disk {
    /// One in memory, of so many KiB, in the place of a directory.
    pub fn small(at: &Path, kib: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k");
        let place = at.to_str().unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", place]);
        told(mounted).then(|| Self {
            at: at.to_owned(),
            image: None,
        })
    }

    /// One in a file, that gets read-only when it fails.
    pub fn failing(at: &Path, kib: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let image = at.with_extension("img");
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(u64::from(kib) * 1024).unwrap();
        let disk = Self {
            at: at.to_owned(),
            image: Some(image.clone()),
        };
        let made = run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        let mounted = made.and_then(|()| disk.mount());
        if !told(mounted) {
            // Nothing is mounted.
            std::mem::forget(disk);
            return None;
        }
        let trigger = disk.trigger().exists();
        told(match trigger {
            true => Ok(()),
            false => Err("the kernel can't be asked for an error of ext4".to_owned()),
        })
        .then_some(disk)
    }

    fn mount(&self) -> Result<(), String> {
        let image = self.image.as_ref().unwrap().to_str().unwrap();
        let place = self.at.to_str().unwrap();
        run(
            "mount",
            &["-t", "ext4", "-o", "loop,errors=remount-ro", image, place],
        )
    }

    fn trigger(&self) -> PathBuf {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let place = self.at.to_str().unwrap();
        let of = |line: &&str| line.split(' ').nth(1) == Some(place);
        let device = mounts.lines().rfind(of).and_then(|l| l.split(' ').next());
        let device = device.unwrap_or_default().trim_start_matches("/dev/");
        Path::new("/sys/fs/ext4")
            .join(device)
            .join("trigger_fs_error")
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.at.join("filler")).unwrap();
        for size in [65_536, 4_096, 1] {
            let piece = vec![0; size];
            loop {
                match file.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        file.sync_all().unwrap();
    }

    /// Makes room again.
    pub fn clear(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }

    /// It fails: nothing can be written any more, not even to what is open.
    pub fn fail(&self) {
        std::fs::write(self.trigger(), "a test").unwrap();
        let written = std::fs::write(self.at.join("filler"), "");
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }

    /// It is checked and mounted again, which nobody may have open.
    pub fn mend(&self) {
        run("umount", &[self.at.to_str().unwrap()]).unwrap();
        let image = self.image.as_ref().unwrap().to_str().unwrap();
        // 1: errors were corrected.
        let checked = Command::new("e2fsck")
            .args(["-fy", image])
            .output()
            .unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.mount().unwrap();
    }

    /// Whether it may be written.
    pub fn writable(&self, yes: bool) {
        let how = if yes { "remount,rw" } else { "remount,ro" };
        run("mount", &["-o", how, self.at.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["--lazy", self.at.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).output();
    match ran {
        Ok(ran) if ran.status.success() => Ok(()),
        Ok(ran) => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&ran.stderr).trim()
        )),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// Says aloud, past what a test's output is kept in, that something can't be tried here.
fn told(mounted: Result<(), String>) -> bool {
    if let Err(why) = &mounted {
        let line = format!(
            "\n*** NOT TRIED HERE: a disk that is really full or fails ({why}).\n*** Limits of file sizes, and \
             files in the place of directories, stand in for it in other tests.\n"
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    mounted.is_ok()
}

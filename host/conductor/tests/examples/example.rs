//! An example's configuration, with the conductor's own paths below a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use peer::testing::{Authority, write};

pub fn checkout() -> PathBuf {
    artifacts::checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A folder of `envoy/`.
pub fn folder(name: &str) -> PathBuf {
    checkout().join("envoy").join(name)
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A filter that takes any configuration and lets everything pass.
const FILTER: &str = r#"(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 4096))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1))"#;

/// Where the conductor of an example finds and keeps its files.
const PLACES: [&str; 4] = [
    "/etc/conductor",
    "/usr/local/lib/conductor",
    "/usr/share/conductor",
    "/var/lib/conductor",
];

/// A conductor's machine.
pub struct Machine {
    root: tempfile::TempDir,
    /// The configuration, as it is in the example but for the places.
    pub text: String,
    /// Where it is.
    pub file: PathBuf,
    /// Who gives out certificates.
    pub authority: Authority,
}

impl Machine {
    /// The machine of the example whose configuration is in this folder, read from there by that name.
    pub fn of(folder: &Path, installed: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let authority = Authority::new("nodes");
        let mut text = read(&folder.join("conductor.toml"));
        for place in PLACES {
            let here = root.path().join(&place[1..]);
            text = text.replace(&format!("\"{place}"), &format!("\"{}", here.display()));
        }
        let machine = Self {
            file: root.path().join(&installed[1..]),
            root,
            text,
            authority,
        };
        let config = machine.file.parent().unwrap();
        std::fs::create_dir_all(config).unwrap();
        for name in ["plan.toml", "jwks.json"] {
            write(&config.join(name), &read(&folder.join(name)));
        }
        for place in ["/usr/local/lib/conductor", "/usr/share/conductor"] {
            let filters = machine.at(place).join("filters");
            std::fs::create_dir_all(&filters).unwrap();
            for name in ["residency", "masking", "guard"] {
                let module = wat::parse_str(FILTER).unwrap();
                std::fs::write(filters.join(format!("{name}.wasm")), module).unwrap();
            }
        }
        for place in ["/usr/share/conductor", "/var/lib/conductor"] {
            let policies = machine.at(place).join("policies");
            artifacts::copy_directory(&checkout().join("policies"), &policies).unwrap();
        }
        std::fs::create_dir(machine.at("/keys")).unwrap();
        for (place, name, byte) in [
            ("people", "ann", 1),
            ("people", "bob", 2),
            ("bundle-keys", "b1", 3),
        ] {
            let keys = machine.at("/etc/conductor").join(place);
            std::fs::create_dir_all(&keys).unwrap();
            let key = SecretKey::from_slice(&[byte; 32]).unwrap();
            let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
            write(&machine.key(name), &pem);
            let pem = key.public_key().to_public_key_pem(LineEnding::LF).unwrap();
            write(&keys.join(format!("{name}.pub")), &pem);
        }
        let tls = machine.at("/etc/conductor/tls");
        std::fs::create_dir_all(&tls).unwrap();
        let names = ["conductor.maestro.svc", "conductor.internal"];
        let server = machine.authority.server(&names);
        server.write(&tls, "conductor");
        write(&tls.join("nodes-ca.pem"), &machine.authority.pem());
        // As cert-manager names them.
        std::fs::copy(tls.join("conductor.pem"), tls.join("tls.crt")).unwrap();
        std::fs::copy(tls.join("conductor.key"), tls.join("tls.key")).unwrap();
        write(&tls.join("ca.crt"), &machine.authority.pem());
        machine.write_config();
        machine
    }

    /// Where a place of the example is here.
    pub fn at(&self, place: &str) -> PathBuf {
        self.root.path().join(&place[1..])
    }

    pub fn write_config(&self) {
        write(&self.file, &self.text);
    }

    /// The private key of somebody, on another machine.
    pub fn key(&self, name: &str) -> PathBuf {
        self.at("/keys").join(format!("{name}.pem"))
    }

    /// Takes a table out of the configuration, up to the next.
    pub fn without(&mut self, table: &str) {
        let (before, after) = self.text.split_once(&format!("\n[{table}]\n")).unwrap();
        let (_, after) = after.split_once("\n\n").unwrap();
        self.text = format!("{before}\n{after}");
        self.write_config();
    }

    /// Runs a command of the conductor's with this configuration.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
        command.args(args).arg("--config").arg(&self.file);
        done(command, args)
    }

    /// Releases the policies of the checkout, as the examples' README has it.
    pub fn release(&self) {
        let bundle = self.at("/bundle.tar.gz");
        let mut build = Command::new(env!("CARGO_BIN_EXE_conductor"));
        build.args(["bundle", "build", "--keyid", "b1", "--output"]);
        build.arg(&bundle).arg("--signing-key").arg(self.key("b1"));
        build.arg(self.at("/usr/share/conductor/policies"));
        done(build, &["bundle build"]);
        let bundle = bundle.to_str().unwrap();
        for (what, by, more) in [
            (["release", bundle], "ann", None),
            (["approve", "1"], "bob", None),
            (["promote", "1"], "ann", Some("--wait")),
        ] {
            let key = std::fs::File::open(self.key(by)).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_conductor"));
            command
                .arg("bundle")
                .args(what)
                .args(["--by", by, "--key", "-"]);
            command
                .args(more)
                .arg("--config")
                .arg(&self.file)
                .stdin(key);
            done(command, &what);
        }
    }
}

fn done(mut command: Command, what: &[&str]) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what:?}: {said}");
    output
}

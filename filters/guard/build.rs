//! Asks the linker for the short form of every index and address in the code.
//!
//! Without this, each one keeps the five bytes that the linker may need before it knows the value:
//! a tenth of a module.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-cdylib=--compress-relocations");
    // The linker compresses only where no debugging information points into the code.
    println!("cargo::rustc-link-arg-cdylib=--strip-debug");
}

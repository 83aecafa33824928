//! Keeps the section of the shared library from which cargo-pgrx reads the SQL definitions.
//!
//! Some linkers drop it as unreachable. cargo-pgrx by itself passes this flag to every crate, which would make test and
//! clippy runs build all dependencies a second time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,--no-gc-sections");
    }
}

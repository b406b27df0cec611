//! A filter asks its host for nothing that Envoy does not offer, and is small.

use harness::check_imports;

/// The system calls that Envoy's Wasm runtimes offer to a filter: those of the oldest supported
/// Envoy, so that a new standard library that calls more is noticed here and not at a gateway.
const WASI: [&str; 18] = [
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "fd_write",
    "path_open",
    "poll_oneoff",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// The most bytes that a filter's module may have.
const LIMIT: usize = 1_500_000;

#[test]
fn filters_are_small_enough() {
    for path in e2e::filters().iter().chain([e2e::guard()]) {
        let size = std::fs::read(path).unwrap().len();
        assert!(
            size <= LIMIT,
            "{} has {size} bytes, {LIMIT} are allowed: build it with `--config \
             profile.filter.strip=false` and look at its functions by size; a crate that runs once \
             a decision belongs at opt-level \"z\" (Cargo.toml, profile.filter), a dependency with \
             tables or a second parser out of the engine",
            path.display()
        );
    }
}

#[test]
fn filters_import_what_envoy_offers_and_nothing_more() {
    for path in e2e::filters().iter().chain([e2e::guard()]) {
        let wasm = std::fs::read(path).unwrap();
        // The check has a list of its own, of the ABI's functions and the system calls.
        let report = check_imports(&wasm).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for name in &report.env {
            assert!(
                name.starts_with("proxy_"),
                "{} imports {name}",
                path.display()
            );
        }
        for name in &report.wasi {
            assert!(
                WASI.contains(&name.as_str()),
                "{} imports {name}",
                path.display()
            );
        }
        assert!(report.env.iter().any(|n| n == "proxy_get_property"));
    }
}

//! Many cases, on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{differ, routes};

/// Failures after which a run stops.
const ENOUGH: usize = 5;

/// What a run came to.
pub struct Run {
    /// Cases that were run.
    pub cases: u64,
    /// What failed.
    pub failures: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Threads that may run at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Runs the cases from the number `start` on; `tell` is told how many are done, by one of the threads.
pub fn run(
    case: impl Fn(u64) -> Result<(), String> + Sync + std::panic::RefUnwindSafe,
    start: u64,
    cases: u64,
    threads: usize,
    tell: impl Fn(u64) + Sync,
) -> Run {
    let began = Instant::now();
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (next, done, failures, tell) = (&next, &done, &failures, &tell);
            let case = &case;
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= cases || failures.lock().unwrap().len() >= ENOUGH {
                        return;
                    }
                    let seed = start.wrapping_add(index);
                    let outcome = std::panic::catch_unwind(|| case(seed));
                    let outcome = outcome.unwrap_or_else(|_| Err(format!("SEED={seed} panicked")));
                    if let Err(problem) = outcome {
                        failures.lock().unwrap().push(problem);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if thread == 0 {
                        tell(done);
                    }
                }
            });
        }
    });
    Run {
        cases: done.into_inner(),
        failures: failures.into_inner().unwrap(),
        took: began.elapsed(),
    }
}

/// `START=…`, `CASES=…` and `JOBS=…` say which cases, how many and on how many threads.
#[test]
#[ignore = "a million cases: `just fuzz-long`"]
fn a_million_cases() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let cases = number("CASES").unwrap_or(1_000_000);
    let start = number("START").unwrap_or(0);
    let threads = number("JOBS").map_or_else(cores, |n| n as usize);
    let told = Mutex::new(Instant::now());
    let both = |seed| {
        differ(seed)?;
        routes::differ(seed).map(|_| ())
    };
    let run = run(both, start, cases, threads, |done| {
        let mut told = told.lock().unwrap();
        if told.elapsed() > Duration::from_secs(15) {
            *told = Instant::now();
            eprintln!(
                "{done} of {cases} cases; START={} goes on here",
                start + done
            );
        }
    });
    for failure in &run.failures {
        eprintln!("{failure}\n");
    }
    let seconds = run.took.as_secs();
    println!(
        "{} cases, {} differences, {seconds} s",
        run.cases,
        run.failures.len()
    );
    assert!(run.failures.is_empty());
}

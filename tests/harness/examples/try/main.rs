//! Runs a recorded exchange through filters and prints what came of it.

mod report;

use clap::Parser;
use harness::recorded::{RecordedFilter, Recording};
use harness::{Error, Outcome};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a recorded exchange through Envoy filters, without Envoy.
#[derive(Parser)]
#[command(
    name = "try",
    after_help = "Example:\n  cargo run -q --release -p harness --example try -- \\\n    \
        --filter masking.wasm --config masking.json exchange.json\n\n\
        Exit code: 0 the exchange completed, 1 a filter trapped or the exchange did not complete,\n\
        2 wrong usage, a broken file or a configuration that the filter refuses."
)]
struct Arguments {
    /// The recorded exchange.
    exchange: PathBuf,
    /// Module of a filter, instead of those that the recording names; may be repeated.
    #[arg(long)]
    filter: Vec<PathBuf>,
    /// Configuration of the filter; once for each `--filter`, in the same order.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// Environment variable of the filters, as NAME=VALUE; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Let response headers be held while the body passes, as the plugin's setting
    /// `allow_on_headers_stop_iteration` does (with `--filter`).
    #[arg(long)]
    allow_on_headers_stop_iteration: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(outcome) => {
            if arguments.json {
                println!("{:#}", report::json(&outcome));
            } else {
                print!("{}", report::text(&outcome));
            }
            let sound = outcome.is_complete() && outcome.traps.is_empty();
            ExitCode::from(if sound && outcome.problems.is_empty() {
                0
            } else {
                1
            })
        }
        Err(failure) => {
            eprintln!("try: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

struct Failure {
    message: String,
    code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if matches!(error, Error::Trapped { .. }) {
            1
        } else {
            2
        };
        Self {
            message: error.chain(),
            code,
        }
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure {
        message: message.into(),
        code: 2,
    }
}

fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut recording = Recording::read(&arguments.exchange)?;
    if !arguments.filter.is_empty() {
        if arguments.config.len() > arguments.filter.len() {
            return Err(usage("there are more `--config` than `--filter`"));
        }
        let filter = |(index, wasm): (usize, &PathBuf)| RecordedFilter {
            wasm: wasm.clone(),
            config: arguments.config.get(index).cloned(),
            name: None,
            allow_on_headers_stop_iteration: arguments.allow_on_headers_stop_iteration,
        };
        recording.filters = arguments.filter.iter().enumerate().map(filter).collect();
    } else if !arguments.config.is_empty() {
        return Err(usage(
            "`--config` needs `--filter`; in the recording it is `filters[].config`",
        ));
    }
    for variable in &arguments.env {
        let (name, value) = variable
            .split_once('=')
            .ok_or_else(|| usage(format!("`--env {variable}` is not NAME=VALUE")))?;
        recording.env.insert(name.to_owned(), value.to_owned());
    }
    let exchange = recording.exchange()?;
    Ok(exchange.run(recording.load()?)?)
}

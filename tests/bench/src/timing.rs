//! Timing variants in turn: each round gives each of them a slice of time, so that whatever the
//! machine does meanwhile happens to all of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::check::check;
use crate::client::Client;
use crate::load::Load;
use crate::upstream::Upstream;
use crate::variants::{Variant, Way};

/// How long a variant is timed before the next one is.
const SLICE: Duration = Duration::from_millis(30);

/// The most requests before timing, and how long they may take: V8 compiles what is hot anew.
const WARM_UP: (usize, Duration) = (300, Duration::from_millis(500));

/// The same for Node, which has more to compile.
const WARM_UP_NODE: (usize, Duration) = (1000, Duration::from_millis(1500));

/// Connections at once when requests a second are counted.
const CONNECTIONS: usize = 8;

/// How long requests a second are counted.
const THROUGHPUT: Duration = Duration::from_millis(300);

/// What was seen of one variant under one load.
pub struct Series {
    /// Every request's time in microseconds, in ascending order.
    pub sorted: Vec<f64>,
    /// The median of each round in microseconds, in the rounds' order.
    pub rounds: Vec<f64>,
    /// Requests a second over several connections; none for the largest bodies.
    pub per_second: Option<f64>,
}

impl Series {
    /// A quantile in microseconds.
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.sorted, q)
    }
}

/// A quantile of ascending numbers (nearest rank).
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Times variants under one load, for about as long as said.
///
/// # Errors
/// An answer is wrong, before or after it is timed, or does not come.
pub fn time(
    variants: &[(&Variant, SocketAddr)],
    upstream: &Upstream,
    load: Load,
    budget: Duration,
) -> anyhow::Result<Vec<Series>> {
    let body = load.body();
    upstream.answer_with(&body);
    let mut clients = Vec::new();
    for (variant, address) in variants {
        let mut client = Client::connect(*address, &load.word())?;
        answers_right(&mut client, &body, variant)?;
        let started = Instant::now();
        let (requests, limit) = match variant.way {
            Way::Apollo => WARM_UP_NODE,
            _ => WARM_UP,
        };
        for _ in 0..requests {
            client.ask()?;
            if started.elapsed() > limit {
                break;
            }
        }
        clients.push(client);
    }
    let mut turns: Vec<Turn<'_>> = clients
        .iter_mut()
        .map(|client| Box::new(|| client.ask()) as Turn<'_>)
        .collect();
    let mut series = in_turns(&mut turns, budget)?;
    drop(turns);
    for (((variant, address), client), series) in variants.iter().zip(&mut clients).zip(&mut series)
    {
        answers_right(client, &body, variant)?;
        if load.bytes <= Load::MB {
            series.per_second = Some(throughput(*address, load)?);
        }
    }
    Ok(series)
}

/// What is timed of a variant, once.
pub type Turn<'a> = Box<dyn FnMut() -> anyhow::Result<Duration> + 'a>;

/// Times each of several things in turn, for about as long as said.
///
/// # Errors
/// One of them fails.
pub fn in_turns(turns: &mut [Turn<'_>], budget: Duration) -> anyhow::Result<Vec<Series>> {
    let empty = || Series {
        sorted: Vec::new(),
        rounds: Vec::new(),
        per_second: None,
    };
    let mut series: Vec<Series> = turns.iter().map(|_| empty()).collect();
    let mut order = Order::new(turns.len());
    let started = Instant::now();
    let mut round = 0;
    while started.elapsed() < budget || round < 3 {
        for at in order.next_round() {
            let (Some(turn), Some(series)) = (turns.get_mut(at), series.get_mut(at)) else {
                continue;
            };
            let mut times = slice(turn)?;
            series.sorted.extend_from_slice(&times);
            times.sort_by(f64::total_cmp);
            series.rounds.push(quantile(&times, 0.5));
        }
        round += 1;
    }
    for series in &mut series {
        series.sorted.sort_by(f64::total_cmp);
    }
    Ok(series)
}

/// Another order of turns each round, so that none always follows the same one: a server may still
/// be busy after its slice, collecting garbage for one.
struct Order {
    turns: Vec<usize>,
    state: u64,
}

impl Order {
    fn new(count: usize) -> Self {
        Self {
            turns: (0..count).collect(),
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Fisher and Yates' shuffle, by Marsaglia's xorshift.
    fn next_round(&mut self) -> Vec<usize> {
        for last in (1..self.turns.len()).rev() {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let other = (self.state % (last as u64 + 1)) as usize;
            self.turns.swap(last, other);
        }
        self.turns.clone()
    }
}

fn slice(turn: &mut Turn<'_>) -> anyhow::Result<Vec<f64>> {
    // The first ones find caches that others have filled.
    let started = Instant::now();
    while started.elapsed() < SLICE / 10 {
        turn()?;
    }
    let started = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || started.elapsed() < SLICE {
        times.push(turn()?.as_nanos() as f64 / 1000.0);
    }
    Ok(times)
}

fn answers_right(client: &mut Client, body: &[u8], variant: &Variant) -> anyhow::Result<()> {
    let answer = client.ask_and_keep();
    answer
        .and_then(|answer| check(&answer, body, variant.masked))
        .with_context(|| format!("{} answers wrongly", variant.name()))
}

/// Requests a second with several connections open, each with one request under way.
fn throughput(address: SocketAddr, load: Load) -> anyhow::Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(address, &load.word())?;
        client.ask()?;
        clients.push(client);
    }
    for client in &mut clients {
        client.send()?;
    }
    let started = Instant::now();
    let mut answered = 0;
    while started.elapsed() < THROUGHPUT || answered == 0 {
        for client in &mut clients {
            if client.poll()? {
                answered += 1;
                client.send()?;
            }
        }
    }
    Ok(f64::from(answered) / started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_turn_once() {
        let mut order = Order::new(5);
        let mut first = Vec::new();
        for _ in 0..50 {
            let mut turns = order.next_round();
            first.extend(turns.first().copied());
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2, 3, 4]);
        }
        assert!((0..5).all(|turn| first.contains(&turn)));
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let numbers: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&numbers, 0.5), 50.0);
        assert_eq!(quantile(&numbers, 0.99), 99.0);
        assert_eq!(quantile(&numbers[..1], 0.99), 1.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}

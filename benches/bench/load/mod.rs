//! The load generator: prepared requests over connections that are open already, on one thread.
//!
//! h2load sends one body again and again, and a node keeps each message once. So this one writes a new body for each request
//! into frames that it makes itself; it does no more per request than copy bytes, and so leaves the server to be measured.
//! The same generator makes the load for both sides of each ratio. `--generator` holds it against h2load.
//!
//! - `bodies`: packets and submissions, every message with a new id and other bytes.
//! - `line`: a connection, with TLS or without.
//! - `http2`, `http1`: what is written and what must come back on one connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use self::{
    bodies::Bodies,
    line::{Line, Target},
};
use crate::{
    clock,
    figures::figure,
    outcome::{Outcome, failed},
};

pub(crate) mod bodies;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod line;

/// The only version that a load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// How many requests there will be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// No request begins after this time.
    Time(Duration),
    /// So many.
    Count(u64),
}

/// Requests that may still begin.
#[derive(Debug)]
pub(crate) struct Turns {
    deadline: Option<Instant>,
    left: AtomicU64,
}

impl Turns {
    fn new(until: Until) -> Self {
        match until {
            Until::Time(time) => Self { deadline: Some(clock::now() + time), left: AtomicU64::new(u64::MAX) },
            Until::Count(count) => Self { deadline: None, left: AtomicU64::new(count) },
        }
    }

    /// Whether one more may begin.
    fn take(&self) -> bool {
        if self.deadline.is_some_and(|deadline| clock::now() >= deadline) {
            return false;
        }
        let one_less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// What every request of a load has.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `:authority` or Host.
    pub(crate) authority: String,
    /// The path.
    pub(crate) path: String,
    /// The bearer.
    pub(crate) bearer: String,
    /// The only status that is right.
    pub(crate) expect: u16,
}

/// What a load came to. Every request was answered as it should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    /// Requests.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
}

impl Tally {
    /// Requests per second.
    pub(crate) fn rate(self) -> f64 {
        figure(self.requests) / self.seconds
    }
}

/// Connections that wait for their load.
pub(crate) struct Lines {
    http: Http,
    lines: Vec<Line>,
    streams: usize,
}

impl Lines {
    /// Opens so many connections; over HTTP/2 each will have so many requests under way, over HTTP/1.1 one.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(crate) async fn open(target: &Target, connections: usize, streams: usize) -> Outcome<Self> {
        let mut lines = Vec::with_capacity(connections);
        for place in 0..connections {
            lines.push(target.open_from(place).await?);
        }
        Ok(Self { http: target.http, lines, streams })
    }

    /// The usual: 8 connections of 32 streams, or 64 connections of HTTP/1.1.
    ///
    /// # Errors
    /// One cannot be opened.
    pub(crate) async fn usual(target: &Target) -> Outcome<Self> {
        match target.http {
            Http::One => Self::open(target, 64, 1).await,
            Http::Two => Self::open(target, 8, 32).await,
        }
    }

    /// Makes the load and waits for every answer.
    ///
    /// # Errors
    /// A wrong answer, or none.
    pub(crate) async fn load(self, head: &Head, bodies: &Arc<Bodies>, until: Until) -> Outcome<Tally> {
        self.load_as(std::slice::from_ref(head), bodies, until).await
    }

    /// The same with several heads, one connection after the other.
    ///
    /// # Errors
    /// As `load`.
    pub(crate) async fn load_as(self, heads: &[Head], bodies: &Arc<Bodies>, until: Until) -> Outcome<Tally> {
        let turns = Arc::new(Turns::new(until));
        let began = clock::now();
        let mut running = JoinSet::new();
        for (line, head) in self.lines.into_iter().zip(heads.iter().cycle()) {
            let (head, bodies, turns) = (head.clone(), Arc::clone(bodies), Arc::clone(&turns));
            match self.http {
                Http::One => running.spawn(async move { http1::run(line, &head, &bodies, &turns).await }),
                Http::Two => {
                    let streams = self.streams;
                    running.spawn(async move {
                        http2::Connection::new(line, &head, bodies.len(), streams).run(&bodies, &turns).await
                    })
                }
            };
        }
        let mut requests = 0;
        while let Some(done) = running.join_next().await {
            requests += done??;
        }
        let seconds = began.elapsed().as_secs_f64();
        if requests == 0 {
            return failed("no request was made");
        }
        Ok(Tally { requests, seconds })
    }
}

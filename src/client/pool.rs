//! Lanes: the open connections of one route, kept between calls.
//!
//! Connections are shared only between equal routes (host, pin and trust), so a pinned one never carries what goes to
//! the name's own address, nor the other way round. A call that a stranger caused has a lane of its own that ends with it.
//! A lane is replaced after ten minutes, and when the settings or the trusted roots have changed: calls under way finish on
//! the old one, new ones see DNS and certificates again. A lane that nobody used for as long is forgotten, so there are no more lanes than peers talked to in that time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    connect::{Dial, Dialler},
    route::Route,
    settings::Settings,
};
use crate::wire::time::Mono;

/// Idle connections that a few calls in a row use close after this.
const PASSING_TIME: Duration = Duration::from_secs(5);
/// HTTP/1.1 needs one connection per call under way; more than two at once to one peer are rare.
const IDLE_MAX: usize = 2;
/// A lane is renewed, or forgotten when unused.
const LANE_TIME: Duration = Duration::from_secs(600);
/// How often unused lanes are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What a peer may send before we read: answers are at most 16 KiB, and it bounds what a hostile peer makes us hold.
const WINDOW_BYTES: u32 = 64 * 1024;
/// HTTP/1.1 head of an answer; more is an error.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// hyper's client for one route.
pub(super) type Hyper = Client<Dial, Full<Bytes>>;

/// The open connections of one route.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) client: Hyper,
    dialler: Arc<Dialler>,
    dials: Arc<AtomicU64>,
    opened: Mono,
    used: Mono,
}

impl Lane {
    fn open(dialler: &Arc<Dialler>, route: &Route, now: Mono) -> Self {
        let mut builder = builder(&dialler.settings);
        //= HT-SEND-30: 90 s
        builder.pool_max_idle_per_host(IDLE_MAX).pool_idle_timeout(dialler.settings.idle_time);
        Self::with(&builder, dialler, route, false, now)
    }

    /// A lane for one call that a stranger caused; nothing of it is kept.
    pub(super) fn once(dialler: &Arc<Dialler>, route: &Route, now: Mono) -> Self {
        let mut builder = builder(&dialler.settings);
        builder.pool_max_idle_per_host(0);
        Self::with(&builder, dialler, route, true, now)
    }

    /// A lane for a few calls in a row, on one connection if the peer keeps it open; it ends with them.
    pub(super) fn passing(dialler: &Arc<Dialler>, route: &Route, stranger: bool, now: Mono) -> Self {
        let mut builder = builder(&dialler.settings);
        builder.pool_max_idle_per_host(1).pool_idle_timeout(PASSING_TIME);
        Self::with(&builder, dialler, route, stranger, now)
    }

    fn with(builder: &Builder, dialler: &Arc<Dialler>, route: &Route, stranger: bool, now: Mono) -> Self {
        let dials = Arc::new(AtomicU64::new(0));
        let dial = Dial { dialler: dialler.clone(), route: route.clone(), stranger, dials: dials.clone() };
        Self { client: builder.build(dial), dialler: dialler.clone(), dials, opened: now, used: now }
    }

    /// Connections opened so far: the same before and after a call means that the call used one from the pool.
    pub(super) fn dials(&self) -> u64 {
        self.dials.load(Ordering::Relaxed)
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dials, &other.dials)
    }
}

//= HT-ASK-25: no proxy is asked
fn builder(settings: &Settings) -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .http2_initial_connection_window_size(WINDOW_BYTES)
        //= HT-SEND-28: 20 s, 10 s
        .http2_keep_alive_interval(settings.ping_every)
        .http2_keep_alive_timeout(settings.ping_time)
        .http2_keep_alive_while_idle(false);
    builder
}

/// All lanes.
#[derive(Default)]
pub(super) struct Lanes {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lanes: HashMap<Route, Lane>,
    swept: Mono,
}

impl Lanes {
    /// The lane of a route, opened or renewed if need be.
    pub(super) fn of(&self, route: &Route, dialler: &Arc<Dialler>, now: Mono) -> Lane {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sweep(now);
        if let Some(lane) = inner.lanes.get_mut(route)
            //= HT-SEND-31: renewed
            && now.since(lane.opened) < LANE_TIME
            && Arc::ptr_eq(&lane.dialler, dialler)
        {
            lane.used = now;
            return lane.clone();
        }
        let lane = Lane::open(dialler, route, now);
        inner.lanes.insert(route.clone(), lane.clone());
        lane
    }

    /// Drops a lane whose connections may be dead; calls under way finish on it. One that took its place stays.
    pub(super) fn forget(&self, route: &Route, dead: &Lane) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.lanes.get(route).is_some_and(|lane| lane.is_same(dead)) {
            inner.lanes.remove(route);
        }
    }
}

impl Inner {
    fn sweep(&mut self, now: Mono) {
        if now.since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.lanes.retain(|_, lane| now.since(lane.used) < LANE_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::tests::trust_nobody, wire::host::PeerHost};

    fn route(host: &str) -> Route {
        Route { host: PeerHost::parse(host).unwrap(), address: None, trusted: true }
    }

    fn dialler() -> Arc<Dialler> {
        Arc::new(Dialler::new(Settings::default(), &trust_nobody()))
    }

    #[tokio::test]
    async fn equal_routes_share_a_lane_and_others_never_do() {
        let (lanes, dialler) = (Lanes::default(), dialler());
        let known = route("a.test");
        let lane = lanes.of(&known, &dialler, Mono(0));
        assert!(lane.is_same(&lanes.of(&known, &dialler, Mono(1))));
        let pinned = Route { address: "127.0.0.1:1".parse().ok(), ..known.clone() };
        assert!(!lane.is_same(&lanes.of(&pinned, &dialler, Mono(1))));
        let strange = Route { trusted: false, ..known };
        assert!(!lane.is_same(&lanes.of(&strange, &dialler, Mono(1))));
    }

    //= HT-SEND-31
    #[tokio::test]
    async fn a_lane_does_not_outlive_what_it_was_opened_under() {
        let (lanes, old) = (Lanes::default(), dialler());
        let lane = lanes.of(&route("a.test"), &old, Mono(0));
        let new = Arc::new(old.renewed(Settings::default(), &trust_nobody()));
        let renewed = lanes.of(&route("a.test"), &new, Mono(1));
        assert!(!lane.is_same(&renewed));
        assert!(renewed.is_same(&lanes.of(&route("a.test"), &new, Mono(2))));
    }

    #[tokio::test]
    async fn a_lane_is_renewed_after_ten_minutes_and_an_unused_one_forgotten() {
        let (lanes, dialler) = (Lanes::default(), dialler());
        let lane = lanes.of(&route("a.test"), &dialler, Mono(0));
        assert!(lane.is_same(&lanes.of(&route("a.test"), &dialler, Mono(599_999))));
        assert!(!lane.is_same(&lanes.of(&route("a.test"), &dialler, Mono(600_000))));
        lanes.of(&route("b.test"), &dialler, Mono(1_200_001));
        assert_eq!(lanes.inner.lock().unwrap().lanes.len(), 1);
    }
}

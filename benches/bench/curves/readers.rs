//! Readers of one inbox, which a peer sends to at a fixed load: 100 packets a second, of one message each.
//!
//! Each reader is an app of its own, on a connection of its own: long polls that acknowledge what came and poll again, or one
//! stream of Server-Sent Events. Each must see each message once and in order. All numbers of readers take turns, run by run,
//! on one node. Told are the node's CPU per message, and the time from a packet's 204 to when the last reader has its message;
//! readers and peer share the core of the load, which is in that time too.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use hyper::Method;
use tokio::{
    io::AsyncWriteExt as _,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::Point;
use crate::{
    clock,
    figures::{Series, figure},
    load::{
        Head, Http,
        bodies::{Bodies, Form},
        http1,
        line::Line,
    },
    node::{
        Host, Node,
        inbox::{self, READ, Seen},
        local::Local,
        peer::Peer,
    },
    outcome::{Outcome, failed},
    rows::{PEER, Stage},
};

const PACE: Duration = Duration::from_millis(10);
const PACKETS: u64 = 200;
/// Until readers wait for the first message.
const SETTLE: Duration = Duration::from_millis(200);
/// Nothing for so long, and the rest is lost.
const PATIENCE: Duration = Duration::from_secs(10);
const COUNTS: [(Kind, usize); 7] = [
    (Kind::Nobody, 0),
    (Kind::Polls, 1),
    (Kind::Polls, 10),
    (Kind::Polls, 100),
    (Kind::Streams, 1),
    (Kind::Streams, 10),
    (Kind::Streams, 100),
];
const READERS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nobody,
    Polls,
    Streams,
}

/// What was seen with so many readers.
#[derive(Default)]
struct Figures {
    rate: Series,
    cpu: Series,
    median: Series,
    worst: Series,
}

/// The points.
pub(super) async fn points(stage: &Stage) -> Outcome<Vec<Point>> {
    let mut inbox = Inbox::start(stage).await?;
    let mut all: [Figures; 7] = Default::default();
    inbox.run(Kind::Nobody, 0, &mut Figures::default()).await?;
    for _ in 0..stage.arguments.runs() {
        for ((kind, count), figures) in COUNTS.into_iter().zip(&mut all) {
            inbox.run(kind, count, figures).await?;
        }
    }
    inbox.node.end()?;
    let nobody = &all[0];
    let point = |(kind, count), figures: &Figures| {
        let at = match kind {
            Kind::Nobody => "no reader".to_owned(),
            Kind::Polls => format!("{count} long polls"),
            Kind::Streams => format!("{count} streams"),
        };
        let point = Point::new("readers", at)
            .with("packets/s", figures.rate.median())
            .with("us CPU a message", figures.cpu.median());
        if kind == Kind::Nobody {
            return point;
        }
        point
            .with("CPU over no reader", figures.cpu.over(&nobody.cpu).median())
            .with("ms to all, median", figures.median.median())
            .with("ms to all, worst", figures.worst.max())
    };
    Ok(COUNTS.into_iter().zip(&all).map(|(at, figures)| point(at, figures)).collect())
}

/// When the last of the readers had each message of a run.
type Board = Arc<Mutex<Vec<Option<Instant>>>>;

/// A node whose inbox is read, and the peer that sends to it.
struct Inbox {
    node: Node,
    line: Line,
    head: Head,
    bodies: Bodies,
    readers: Vec<Option<Local>>,
    /// Sees that nothing is lost, whatever the readers saw.
    local: Local,
    seen: Seen,
    // Its listener lives as long as the link.
    _peer: Peer,
}

impl Inbox {
    async fn start(stage: &Stage) -> Outcome<Self> {
        let mut peer = Peer::start(&stage.ground, PEER).await?;
        let host = Host::new("readers.test")?.with_readers(READERS);
        let node = host.start(&stage.ground, stage.cores, [(PEER, peer.address)])?;
        let head = node.packet_head(&peer.link(&node).await?);
        let bodies = Bodies::new(Form::Packet, 1, PEER, &node.host.name);
        let (line, local) = (node.target(Http::One)?.open().await?, node.local().await?);
        let mut readers = Vec::new();
        for place in 0..READERS {
            readers.push(Some(node.reader(place).await?));
        }
        Ok(Self { node, line, head, bodies, readers, local, seen: Seen::default(), _peer: peer })
    }

    /// Sends at the pace while so many read; then brings every reader's place to the end of the inbox.
    async fn run(&mut self, kind: Kind, count: usize, figures: &mut Figures) -> Outcome<()> {
        let (from, to) = (self.bodies.next(), self.bodies.next() + PACKETS);
        let board: Board = Arc::new(Mutex::new(vec![None; usize::try_from(PACKETS)?]));
        let mut reading = JoinSet::new();
        for (place, local) in self.readers.iter_mut().enumerate().take(count) {
            let Some(local) = local.take() else { return failed("a reader is gone") };
            let reader = Reader { local, next: from, from, to, board: Arc::clone(&board) };
            reading.spawn(async move {
                let local = match kind {
                    Kind::Streams => reader.follow().await,
                    Kind::Polls | Kind::Nobody => reader.poll().await,
                };
                local.map(|local| (place, local)).map_err(|why| format!("reader {place}: {why}"))
            });
        }
        sleep(SETTLE).await;
        let (began, before) = (clock::now(), self.node.process.cpu()?);
        let answered = self.send(began).await?;
        let seconds = began.elapsed().as_secs_f64();
        while let Some(done) = reading.join_next().await {
            let (place, local) = done??;
            self.readers[place] = local;
        }
        figures.rate.push(figure(PACKETS) / seconds);
        figures.cpu.push((self.node.process.cpu()? - before) / figure(PACKETS));
        if count > 0 {
            let board = board.lock().unwrap_or_else(PoisonError::into_inner);
            let mut took = Series::default();
            for (answered, had) in answered.iter().zip(board.iter()) {
                let Some(had) = had else { return failed("nobody had a message") };
                // A reader may have it before its sender has the 204.
                took.push(had.saturating_duration_since(*answered).as_secs_f64() * 1000.0);
            }
            figures.median.push(took.median());
            figures.worst.push(took.max());
        }
        self.bring_up(to).await
    }

    /// One packet after the other, each at its time: when each was answered.
    async fn send(&mut self, began: Instant) -> Outcome<Vec<Instant>> {
        let written = http1::written(&self.head, self.bodies.len());
        let (mut out, mut input, mut answered) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = began;
        for _ in 0..PACKETS {
            sleep_until(at.into()).await;
            at += PACE;
            out.clear();
            out.extend_from_slice(&written);
            self.bodies.write(&mut out);
            self.line.write_all(&out).await?;
            self.line.flush().await?;
            http1::answer(&mut self.line, &mut input, self.head.expect).await?;
            answered.push(clock::now());
        }
        Ok(answered)
    }

    /// Nothing is lost, and the next run begins with an empty inbox for every reader.
    async fn bring_up(&mut self, to: u64) -> Outcome<()> {
        let path = format!("{READ}?max=10000");
        let body = self.local.call(Method::GET, &path, "", 200).await?;
        let Some(cursor) = inbox::last_cursor(str::from_utf8(&body)?) else {
            return failed("an empty inbox");
        };
        for (place, reader) in self.readers.iter_mut().enumerate() {
            let mut local = match reader.take() {
                Some(local) => local,
                // A stream has the connection of its reader for itself.
                None => self.node.reader(place).await?,
            };
            inbox::acknowledge(&mut local, cursor).await?;
            *reader = Some(local);
        }
        inbox::rest(&mut self.local, &mut self.seen).await?;
        self.seen.complete(to)
    }
}

/// One reader in one run.
struct Reader {
    local: Local,
    /// The number that must come next.
    next: u64,
    from: u64,
    to: u64,
    board: Board,
}

impl Reader {
    /// Takes in what has come: each message once, in order.
    fn take(&mut self, text: &str) -> Outcome<()> {
        let now = clock::now();
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        for number in inbox::numbers(text) {
            let number = number?;
            if number != self.next || number >= self.to {
                return failed(format!("message {number} came where {} was to come", self.next));
            }
            board[usize::try_from(number - self.from)?] = Some(now);
            self.next += 1;
        }
        Ok(())
    }

    /// Polls and acknowledges until all have come; gives its connection back.
    async fn poll(mut self) -> Outcome<Option<Local>> {
        let path = format!("{READ}?max=1000&wait=10s");
        while self.next < self.to {
            let page = self.local.call(Method::GET, &path, "", 200).await?;
            let (text, before) = (str::from_utf8(&page)?, self.next);
            self.take(text)?;
            let Some(cursor) = inbox::last_cursor(text).filter(|_| self.next > before) else {
                return failed(format!("nothing came for {PATIENCE:?} where {} was to come", self.next));
            };
            inbox::acknowledge(&mut self.local, cursor).await?;
        }
        Ok(Some(self.local))
    }

    /// Follows until all have come.
    async fn follow(mut self) -> Outcome<Option<Local>> {
        let mut stream = self.local.follow(&format!("{READ}/events")).await?;
        let mut text = String::new();
        while self.next < self.to {
            let Ok(Some(frame)) = timeout(PATIENCE, stream.frame()).await else {
                return failed(format!("nothing came for {PATIENCE:?} where {} was to come", self.next));
            };
            let Ok(bytes) = frame?.into_data() else { continue };
            text.push_str(str::from_utf8(&bytes)?);
            // What ends with an empty line is whole.
            if let Some(end) = text.rfind("\n\n") {
                self.take(&text[..end])?;
                text.drain(..end + 2);
            }
        }
        Ok(None)
    }
}

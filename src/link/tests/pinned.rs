//! The machines as tables: each state that stands for a kind of state, driven with each event; what comes out and where
//! it ends. Pinned in `tests/pinned/*.txt`: a changed rule is a visible difference. `YMP_PIN=1` writes the files anew.

use std::{fmt::Write as _, time::Duration};

use crate::{
    link::{
        event::Event,
        lobby::{Action, Asked, Lobby, Origin, Settings},
        testing::{Bench, Counter, answered, at, fresh, host, mail, offer, pause, trouble},
    },
    token::family::{Admitted, Family, NewPair, Rotated, Subject},
    wire::{
        answer::{Answer, CallStage, Refreshed},
        exchange::TokenOffer,
        record::Seq,
        secret::Digest,
        time::Wall,
    },
};

fn pin(name: &str, table: &str) {
    let path = format!("{}/tests/pinned/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("YMP_PIN").is_some() {
        std::fs::create_dir_all(format!("{}/tests/pinned", env!("CARGO_MANIFEST_DIR"))).unwrap();
        std::fs::write(&path, table).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(pinned == table, "the rules differ from {path}; if that is meant, run with YMP_PIN=1:\n{table}");
}

/// One line of a table.
fn line(table: &mut String, event: &str, did: &[String], next: &str) {
    let did = if did.is_empty() { "-".to_owned() } else { did.join("; ") };
    writeln!(table, "  {event:<24} {did:<44} => {next}").unwrap();
}

/// One event in one state; those that change nothing are gathered in `quiet`.
fn row(
    table: &mut String,
    quiet: &mut Vec<String>,
    bench: &Bench,
    event: &str,
    drive: impl FnOnce(&mut Bench) -> Vec<String>,
) {
    let before = bench.peer.state(bench.now());
    let mut bench = plain(bench.clone());
    let did = drive(&mut bench);
    let after = bench.peer.state(bench.now());
    if did.is_empty() && before == after {
        quiet.push(event.to_owned());
    } else {
        line(table, event, &did, &after);
    }
}

/// A bench whose outbox the table shows.
fn plain(mut bench: Bench) -> Bench {
    bench.outbox = None;
    bench
}

fn linked_with_mail() -> Bench {
    let mut bench = Bench::linked();
    bench.pass(3);
    bench.queue([1, 2, 3, 4]);
    bench
}

fn two_held() -> Bench {
    let mut bench = linked_with_mail();
    bench.on(answered(204));
    bench.on(Event::ConnectWanted);
    bench.grant("t2");
    bench.on(Event::Kept);
    bench.pass(3);
    bench.queue([5]);
    bench
}

fn with(mut bench: Bench, events: impl IntoIterator<Item = Event>) -> Bench {
    for event in events {
        bench.on(event);
    }
    bench
}

fn refused() -> Event {
    Event::Refreshed(Refreshed::Answered(Answer::bare(401)))
}

fn unanswered() -> Event {
    Event::Refreshed(Refreshed::Failed(trouble(CallStage::Timeout)))
}

fn asked_here() -> Bench {
    let mut bench = Bench::new();
    bench.queue([1]);
    bench
}

fn run(name: &str, states: Vec<(&str, Bench)>, events: Vec<(&str, Event)>) {
    let mut table = format!("{name}: in each state, each event: what is done, and the state after it\n");
    for (state, bench) in states {
        writeln!(table, "\n{state}  [{}]", bench.peer.state(bench.now())).unwrap();
        let mut quiet = Vec::new();
        for (event, what) in &events {
            row(&mut table, &mut quiet, &bench, event, |bench| bench.on(what.clone()));
        }
        let elsewhere = TokenOffer { host: host("c.test"), ..offer("t9") };
        let ours = bench.ask.as_ref().map(|ask| ask.token.digest());
        for (event, bearer, offered) in [
            ("grant", ours, offer("t9")),
            ("grant, of another host", ours, elsewhere),
            ("grant, the first again", ours, offer("t1")),
            ("grant, bearer unknown", Some(Digest::of(b"x")), offer("t9")),
        ] {
            if let Some(bearer) = bearer {
                row(&mut table, &mut quiet, &bench, event, |bench| bench.grant_under(bearer, offered));
            }
        }
        if !quiet.is_empty() {
            writeln!(table, "  nothing: {}", quiet.join("; ")).unwrap();
        }
    }
    pin(name, &table);
}

#[test]
fn asking() {
    let late = || {
        let mut bench = with(asked_here(), [Event::Asked(Ok(Answer::bare(204)))]);
        bench.pass_ms(30_000);
        bench
    };
    let renewing = || with(linked_with_mail(), [Event::RefreshWanted]);
    let states = vec![
        ("nothing known", Bench::new()),
        ("asked", asked_here()),
        ("asked, the request is answered", with(asked_here(), [Event::Asked(Ok(Answer::bare(204)))])),
        ("the grant is on its way to the disk", {
            let mut bench = asked_here();
            bench.grant("t1");
            bench
        }),
        ("grant-wait is over", late()),
        ("linked", with(linked_with_mail(), [answered(204)])),
        ("refreshing", renewing()),
        ("new tokens on their way to the disk", with(renewing(), [Event::Refreshed(fresh("t2", 3600))])),
        ("a refresh got no answer", with(renewing(), [unanswered()])),
        ("a refresh was refused", with(renewing(), [refused()])),
        ("the newest and one that works", two_held()),
    ];
    let events = vec![
        ("connect wanted", Event::ConnectWanted),
        ("refresh wanted", Event::RefreshWanted),
        ("request: 204", Event::Asked(Ok(Answer::bare(204)))),
        ("request: 404", Event::Asked(Ok(Answer::bare(404)))),
        ("request: not reached", Event::Asked(Err(trouble(CallStage::Connect)))),
        ("request: no answer", Event::Asked(Err(trouble(CallStage::Timeout)))),
        ("refresh: new tokens", Event::Refreshed(fresh("t7", 3600))),
        ("refresh: 401", refused()),
        ("refresh: no answer", unanswered()),
        ("kept", Event::Kept),
        ("not kept", Event::NotKept),
        ("packet: 204", answered(204)),
        ("packet: 401", answered(401)),
        ("heard", Event::Heard),
        ("woken", Event::Woken),
    ];
    run("asking", states, events);
}

#[test]
fn sending() {
    let at_fault = |index| Event::Sent(Ok(Answer { index, ..Answer::bare(400) }));
    let loading = || with(plain(Bench::linked()), [Event::MailQueued]);
    let states = vec![
        ("idle", Bench::linked()),
        ("reading", loading()),
        ("reading, a settlement failed", with(loading(), [Event::NotSettled])),
        ("in flight", linked_with_mail()),
        ("halving", with(linked_with_mail(), [at_fault(None)])),
        ("one at fault, one left to find", with(linked_with_mail(), [at_fault(None), at_fault(None)])),
        ("too large", with(linked_with_mail(), [answered(413)])),
        ("resting", with(linked_with_mail(), [answered(500)])),
        ("told to wait", with(linked_with_mail(), [pause(429, 60)])),
        ("ten condemned in a row", {
            let mut bench = Bench::linked();
            bench.pass(3);
            bench.queue(1..=12);
            with(bench, (0..10).map(|_| at_fault(Some(0))))
        }),
    ];
    let mut events = vec![
        ("mail queued", Event::MailQueued),
        ("mail read", Event::MailLoaded(mail([21, 22]))),
        ("no mail read", Event::MailLoaded(Vec::new())),
        ("mail not read", Event::MailNotLoaded("x".to_owned())),
        ("mail expired", Event::MailExpired(vec![Seq(1), Seq(4)])),
        ("settled", Event::Settled),
        ("not settled", Event::NotSettled),
        ("packet: 400, the second", at_fault(Some(1))),
        ("packet: 503 in 60 s", pause(503, 60)),
        ("packet: no answer", Event::Sent(Err(trouble(CallStage::Timeout)))),
        ("heard", Event::Heard),
    ];
    for (name, status) in [
        ("packet: 200", 200),
        ("packet: 204", 204),
        ("packet: 400", 400),
        ("packet: 401", 401),
        ("packet: 403", 403),
        ("packet: 404", 404),
        ("packet: 413", 413),
        ("packet: 429", 429),
        ("packet: 500", 500),
    ] {
        events.push((name, answered(status)));
    }
    run("sending", states, events);
}

#[test]
fn lobby() {
    let b = host("b.test");
    let asked = |from: u8| Asked {
        origin: Origin::of(std::net::Ipv4Addr::new(192, 0, 2, from).into()),
        offer: offer(&format!("t{from}")),
        known: true,
        likely: false,
    };
    let steps: [(&str, usize); 5] =
        [("empty", 0), ("offering", 1), ("calling", 2), ("resting", 3), ("taking", 4)];
    let mut table =
        "lobby: in each step of a grant, each event: what is done, and grants under way\n".to_owned();
    for (step, depth) in steps {
        writeln!(table, "\n{step}").unwrap();
        for event in [
            "asked again",
            "asked by another",
            "kept",
            "not kept",
            "204",
            "400",
            "401",
            "503",
            "no answer",
            "done",
            "not done",
            "woken later",
        ] {
            let mut dice = Counter::default();
            let day = Duration::from_secs(86_400);
            let mut lobby = Lobby::new(Settings { slots: 8, token_lifetime: day, refresh_lifetime: day });
            if depth > 0 {
                lobby.asked(asked(1), at(0), &mut dice).unwrap();
            }
            if depth > 1 {
                lobby.kept(&b, true, at(0), &mut dice);
            }
            if depth > 2 {
                let status = if depth == 3 { 503 } else { 204 };
                lobby.answered(&b, &Ok(Answer::bare(status)), at(0), &mut dice);
            }
            drop(lobby.actions());
            let mut said = Vec::new();
            let now = at(1);
            match event {
                "asked again" => {
                    said.extend(lobby.asked(asked(1), now, &mut dice).err().map(|why| why.to_string()))
                }
                "asked by another" => {
                    said.extend(lobby.asked(asked(2), now, &mut dice).err().map(|why| why.to_string()));
                }
                "kept" => lobby.kept(&b, true, now, &mut dice),
                "not kept" => lobby.kept(&b, false, now, &mut dice),
                "no answer" => lobby.answered(&b, &Err(trouble(CallStage::Timeout)), now, &mut dice),
                "done" => lobby.finished(&b, true, now, &mut dice),
                "not done" => lobby.finished(&b, false, now, &mut dice),
                "woken later" => lobby.woken(at(3), &mut dice),
                status => lobby.answered(&b, &Ok(Answer::bare(status.parse().unwrap())), now, &mut dice),
            }
            said.extend(lobby.actions().map(|action| match action {
                Action::Offer { .. } => "offer".to_owned(),
                Action::Grant { .. } => "grant".to_owned(),
                Action::Take { .. } => "take".to_owned(),
                Action::Withdraw { ended, .. } => format!("withdraw: {ended:?}"),
            }));
            let wake = lobby.wake_at().map_or("no wake".to_owned(), |at| format!("wake at {} ms", at.0));
            line(&mut table, event, &said, &format!("{} under way, {wake}", lobby.under_way()));
        }
    }
    pin("lobby", &table);
}

#[test]
fn family() {
    let t0 = Wall(0);
    let digest = |name: &str| Digest::of(name.as_bytes());
    let pair = |n: u32, now: Wall| {
        let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
        NewPair::new(digest(&format!("a{n}")), hour, digest(&format!("r{n}")), day, now)
    };
    let admit = |family: &Family, name: &str, now: Wall| match family.admit(&digest(name), now) {
        Admitted::First(next) => *next,
        Admitted::Known | Admitted::Unknown => family.clone(),
    };
    let rotate = |family: &Family, name: &str, n: u32, now: Wall| match family.rotate(
        &digest(name),
        pair(n, now),
        now,
    ) {
        Rotated::Fresh(next) | Rotated::Replayed(next) => *next,
        Rotated::Unknown => family.clone(),
    };
    let opened = Family::open(&Subject::Peer(host("b.test")), 1, pair(0, t0), t0);
    let used = admit(&opened, "a0", t0);
    let rotated = rotate(&used, "r0", 1, t0);
    let again = rotate(&rotated, "r0", 2, t0);
    let first_use = admit(&rotated, "a1", t0);
    let twice = rotate(&rotated, "r1", 2, t0);
    let states = [
        ("opened", opened),
        ("used", used.clone()),
        ("rotated, the new pair is unused", rotated),
        ("rotated again with the old token", again.clone()),
        ("the new pair is used", first_use.clone()),
        ("rotated twice", twice),
        ("replayed", rotate(&again, "r1", 9, t0)),
        ("a newer family is used", used.wind_down(t0)),
    ];
    let mut table =
        "family: in each state, each token shown: at once, after 31 s, after an hour, after a day\n"
            .to_owned();
    for (state, family) in states {
        writeln!(table, "\n{state}").unwrap();
        for token in ["a0", "a1", "a2", "r0", "r1", "r2", "none"] {
            let outcomes = [0, 31, 3600, 86_400].map(|seconds| {
                let now = Wall(seconds * 1000);
                if token.starts_with('a') {
                    match family.admit(&digest(token), now) {
                        Admitted::Known => "admitted",
                        Admitted::First(_) => "admitted, first use",
                        Admitted::Unknown => "unknown",
                    }
                } else {
                    match family.rotate(&digest(token), pair(8, now), now) {
                        Rotated::Fresh(_) => "fresh pair",
                        Rotated::Replayed(_) => "replay: closed",
                        Rotated::Unknown => "unknown",
                    }
                }
            });
            let cells: Vec<_> = outcomes.iter().map(|outcome| format!("{outcome:<20}")).collect();
            writeln!(table, "  {token:<5} {}", cells.join(" ").trim_end()).unwrap();
        }
    }
    pin("family", &table);
}

//! The machines as tables: each state that stands for a kind of state, driven with each event; what comes out and where
//! it ends. Pinned in `tests/pinned/*.txt`: a changed rule is a visible difference. `YMP_PIN=1` writes the files anew.

use std::fmt::Write as _;

use crate::{
    link::{
        event::Event,
        testing::{Bench, answered, fresh, host, mail, offer, parameters, pause, trouble},
    },
    wire::{
        answer::{Answer, CallStage, Refreshed},
        exchange::TokenOffer,
        parameters::{Form, Found, Parameters},
        path::UrlPath,
        record::Seq,
        secret::Digest,
    },
};

pub(super) fn pin(name: &str, table: &str) {
    let path = format!("{}/tests/pinned/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("YMP_PIN").is_some() {
        std::fs::create_dir_all(format!("{}/tests/pinned", env!("CARGO_MANIFEST_DIR"))).unwrap();
        std::fs::write(&path, table).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(pinned == table, "the rules differ from {path}; if that is meant, run with YMP_PIN=1:\n{table}");
}

/// One line of a table.
pub(super) fn line(table: &mut String, event: &str, did: &[String], next: &str) {
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
        if bench.state.is_some() {
            for (event, name) in [("state granted", "t9"), ("state granted again", "t1")] {
                row(&mut table, &mut quiet, &bench, event, |bench| bench.grant_state(name, 3600));
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

/// R3, and what is looked up: the test answers the look-ups.
#[test]
fn finding() {
    let here = |form| Found::pinned(parameters(form));
    let moved = || {
        let packet_path = UrlPath::parse("/moved").unwrap();
        Found::pinned(Parameters { packet_path, ..parameters(Form::Tokens) })
    };
    let asked = || {
        let mut bench = Bench::new();
        bench.found = Some(Ok(here(Form::State)));
        bench.queue([1]);
        bench.found = None;
        bench
    };
    let linked = || {
        let mut bench = asked();
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        bench.grant_state("t1", 3600);
        bench.on(Event::Kept);
        bench.pass(3);
        bench
    };
    let unfound = |mut bench: Bench| {
        bench.found = None;
        bench
    };
    let renewing = || {
        let mut bench = with(linked(), [answered(204)]);
        bench.pass(2700);
        bench
    };
    let states = vec![
        ("it is looked up how to ask", with(unfound(Bench::new()), [Event::ConnectWanted])),
        ("asked with a state", asked()),
        ("a request found nobody", with(asked(), [Event::Asked(Ok(Answer::bare(404)))])),
        ("linked by R3", linked()),
        ("a packet found nobody", with(unfound(linked_with_mail()), [answered(404)])),
        ("time for a new token, R3", renewing()),
        ("... and asked", with(renewing(), [Event::Found(Ok(here(Form::State)))])),
    ];
    let events = vec![
        ("connect wanted", Event::ConnectWanted),
        ("refresh wanted", Event::RefreshWanted),
        ("found: R1", Event::Found(Ok(here(Form::Tokens)))),
        ("found: R3", Event::Found(Ok(here(Form::State)))),
        ("found: moved", Event::Found(Ok(moved()))),
        ("not found", Event::Found(Err(trouble(CallStage::Connect)))),
        ("request: 204", Event::Asked(Ok(Answer::bare(204)))),
        ("request: 404", Event::Asked(Ok(Answer::bare(404)))),
        ("request: not reached", Event::Asked(Err(trouble(CallStage::Connect)))),
        ("kept", Event::Kept),
        ("packet: 204", answered(204)),
        ("packet: 401", answered(401)),
        ("packet: 404", answered(404)),
        ("packet: 500", answered(500)),
        ("heard", Event::Heard),
        ("woken", Event::Woken),
    ];
    run("finding", states, events);
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

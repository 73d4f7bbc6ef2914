//! The tables of what we give: requests that are granted, and families. As `pinned`.

use std::{fmt::Write as _, time::Duration};

use crate::{
    link::{
        lobby::{Action, Asked, Lobby, LookedUp, NotFound, Origin, Settings, Took},
        peer::Standing,
        testing::{Counter, at, host, offer, parameters, trouble},
    },
    token::family::{Admitted, Family, NewPair, Rotated, Subject},
    wire::{
        answer::{Answer, CallStage},
        exchange::TokenRequest,
        parameters::{Form, Parameters},
        path::UrlPath,
        secret::Digest,
        time::Wall,
    },
};

use super::pinned::{line, pin};

#[test]
fn lobby() {
    let b = host("b.test");
    let asked = |from: u8| Asked {
        origin: Origin::of(std::net::Ipv4Addr::new(192, 0, 2, from).into()),
        request: TokenRequest::Tokens(offer(&format!("t{from}"))),
        known: true,
        likely: false,
    };
    let found = |grant: &str| LookedUp {
        parameters: Parameters { grant_path: UrlPath::parse(grant).unwrap(), ..parameters(Form::Tokens) },
        addresses: Vec::new(),
        standing: Standing::blank(),
    };
    let steps: [(&str, usize); 7] = [
        ("empty", 0),
        ("looking up", 1),
        ("offering", 2),
        ("calling", 3),
        ("resting", 4),
        ("taking", 5),
        ("seeking", 6),
    ];
    let mut table =
        "lobby: in each step of a grant, each event: what is done, and grants under way\n".to_owned();
    for (step, depth) in steps {
        writeln!(table, "\n{step}").unwrap();
        for event in [
            "asked again",
            "asked by another",
            "found",
            "found elsewhere",
            "not found",
            "kept",
            "not kept",
            "204",
            "400",
            "401",
            "404",
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
                lobby.asked(asked(1), at(0)).unwrap();
            }
            if depth > 1 {
                lobby.looked_up(&b, Ok(found("/grant")), at(0), &mut dice);
            }
            if depth > 2 {
                lobby.kept(&b, true, at(0));
            }
            if depth > 3 {
                let status = [503, 204, 404][depth - 4];
                lobby.answered(&b, &Ok(Answer::bare(status)), at(0));
            }
            drop(lobby.actions());
            let mut said = Vec::new();
            let now = at(1);
            match event {
                "asked again" => said.extend(lobby.asked(asked(1), now).err().map(|why| why.to_string())),
                "asked by another" => {
                    said.extend(lobby.asked(asked(2), now).err().map(|why| why.to_string()));
                }
                "found" => lobby.looked_up(&b, Ok(found("/grant")), now, &mut dice),
                "found elsewhere" => lobby.looked_up(&b, Ok(found("/moved")), now, &mut dice),
                "not found" => lobby.looked_up(
                    &b,
                    Err(NotFound { reason: "no answer".to_owned(), busy: false }),
                    now,
                    &mut dice,
                ),
                "kept" => lobby.kept(&b, true, now),
                "not kept" => lobby.kept(&b, false, now),
                "no answer" => lobby.answered(&b, &Err(trouble(CallStage::Timeout)), now),
                "done" => lobby.finished(&b, Took::Kept, now),
                "not done" => lobby.finished(&b, Took::Lost, now),
                "woken later" => lobby.woken(at(3)),
                status => lobby.answered(&b, &Ok(Answer::bare(status.parse().unwrap())), now),
            }
            said.extend(lobby.actions().map(|action| match action {
                Action::LookUp { .. } => "look up".to_owned(),
                Action::Drop { reason, .. } => format!("drop: {reason}"),
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

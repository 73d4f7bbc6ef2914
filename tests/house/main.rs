//! The rules of the house, read off its source: which room may import which, what the pure rooms never name, how long a
//! file may be, what must not be left behind.
//!
//! The table of floors is `ROOMS`. An arrow to a room that does not stand in a row's list points up or sideways and
//! fails; that no circle closes is checked over the arrows that the source has. Files of tests (`tests.rs`, `testing.rs`,
//! a folder `tests`) may look further.

mod conformance;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{File, files};

/// A room, and the rooms that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli", "app", "config"]),
    ("cli", &["app", "config", "wire"]),
    (
        "app",
        &[
            "config",
            "serve",
            "node",
            "access",
            "link",
            "token",
            "store",
            "client",
            "wire",
            "telemetry",
            "tls",
        ],
    ),
    // The rooms' settings.
    ("config", &["serve", "node", "access", "store", "client", "telemetry", "tls", "wire"]),
    ("serve", &["node", "access", "wire", "telemetry", "tls"]),
    ("node", &["link", "token", "store", "client", "telemetry", "wire"]),
    ("access", &["store", "token", "telemetry", "wire"]),
    ("link", &["token", "wire"]),
    ("token", &["wire"]),
    // It measures how long its commits take.
    ("store", &["telemetry", "wire"]),
    ("client", &["wire", "tls"]),
    // On the ground floor beside `wire`; it reads names as `wire` does.
    ("tls", &["wire"]),
    ("wire", &[]),
    ("telemetry", &[]),
];

/// What a room never names, wherever it would come from.
const NEVER: &[(&[&str], &[&str])] = &[
    (
        &["link", "token", "wire"],
        &[
            "tokio",
            "tracing",
            "rand",
            "getrandom",
            "Instant",
            "SystemTime",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "SocketAddr",
            "ToSocketAddrs",
            "hyper",
            "reqwest",
            "std::fs",
            "std::thread",
            "std::env",
        ],
    ),
    (&["node"], &["hyper", "hyper_util", "http_body_util", "reqwest"]),
];

/// Never stands in a source file.
const NEVER_ANYWHERE: &[&str] =
    &["#[allow(", "#![allow(", "todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"];

const LINES_MAX: usize = 400;

/// Files that are still longer. This list only shrinks.
const LONGER: &[&str] = &[];

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, rooms)| *rooms)
}

fn production() -> impl Iterator<Item = File> {
    files().into_iter().filter(|file| !file.is_test())
}

#[test]
fn every_room_stands_on_a_floor() {
    for file in files() {
        let room = file.room();
        assert!(
            room == "lib" || allowed(&room).is_some(),
            "{}: the room {room} stands on no floor",
            file.path
        );
    }
}

#[test]
fn imports_point_downward_only() {
    let mut wrong = Vec::new();
    for file in production() {
        let room = file.room();
        let Some(below) = allowed(&room) else { continue };
        for (line, target) in file.imports() {
            if allowed(&target).is_some() && target != room && !below.contains(&target.as_str()) {
                wrong.push(format!("src/{}:{line}: {room} may not import {target}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_circle_closes_between_rooms() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in production() {
        let room = file.room();
        let targets = file.imports().into_iter().map(|(_, target)| target);
        arrows.entry(room.clone()).or_default().extend(targets.filter(|target| *target != room));
    }
    // Rooms that import nothing which is left are taken away; what cannot be taken away is a circle.
    loop {
        let here: BTreeSet<_> = arrows.keys().cloned().collect();
        let before = arrows.len();
        arrows.retain(|_, targets| targets.iter().any(|target| here.contains(target)));
        if arrows.len() == before {
            break;
        }
    }
    assert!(arrows.is_empty(), "a circle closes among {arrows:?}");
}

#[test]
fn the_table_of_floors_has_no_circle_itself() {
    for (place, (room, below)) in ROOMS.iter().enumerate() {
        for target in *below {
            let other = ROOMS.iter().position(|(name, _)| name == target);
            assert!(
                other.is_some_and(|other| other > place),
                "{room} stands above {target}, or that is unknown"
            );
        }
    }
}

#[test]
fn pure_rooms_name_no_clock_no_socket_no_dice_and_no_log() {
    let mut wrong = Vec::new();
    for file in production() {
        for (rooms, words) in NEVER {
            if !rooms.contains(&file.room().as_str()) {
                continue;
            }
            for (line, text) in file.code() {
                for word in words.iter().filter(|word| source::names(&text, word)) {
                    wrong.push(format!("src/{}:{line}: {} names {word}", file.path, file.room()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let long: Vec<_> = files()
        .into_iter()
        .filter(|file| file.lines() > LINES_MAX && !LONGER.contains(&file.path.as_str()))
        .map(|file| format!("src/{}: {} lines", file.path, file.lines()))
        .collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines:\n{}\n", long.join("\n"));
}

#[test]
fn the_list_of_longer_files_shrinks() {
    for path in LONGER {
        let still = files().into_iter().any(|file| file.path == *path && file.lines() > LINES_MAX);
        assert!(still, "{path} is short by now: strike it from the list");
    }
}

#[test]
fn nothing_is_left_behind() {
    let mut wrong = Vec::new();
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            for word in NEVER_ANYWHERE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("src/{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The keys in the README's table of settings.
fn keys_in_readme() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Configuration\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = section.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("| `"));
    let first = rows.filter_map(|row| row.split(" | ").next());
    first.flat_map(|cell| cell.split('`')).filter(|key| is_key(key)).map(str::to_owned).collect()
}

fn is_key(text: &str) -> bool {
    !matches!(text, "" | "or") && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

#[test]
fn the_file_that_init_writes_has_every_setting_of_the_readme() {
    let (keys, file) = (keys_in_readme(), include_str!("../../src/cli/init.toml"));
    assert!(keys.len() > 50, "{keys:?}");
    let has =
        |key: &str| file.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
    // Where a token is kept apart, it does not stand in the file.
    let missing: Vec<_> = keys.iter().filter(|key| *key != "token" && !has(key)).collect();
    assert!(missing.is_empty(), "src/cli/init.toml lacks {missing:?}");
}

#[test]
fn a_file_opens_with_its_contract() {
    for file in production().filter(|file| file.text.lines().count() > 3) {
        assert!(file.text.starts_with("//!"), "src/{}: it opens without a contract", file.path);
    }
}

#[test]
fn the_benchmark_keeps_the_rules_of_files() {
    let mut wrong = Vec::new();
    for file in source::under("benches") {
        let long = file.lines() > LINES_MAX;
        let left = NEVER_ANYWHERE.iter().any(|word| file.text.contains(word));
        if long || left || !file.text.starts_with("//!") {
            wrong.push(format!("benches/{}: {} lines", file.path, file.lines()));
        }
    }
    assert!(wrong.is_empty(), "too long, something left behind, or no contract:\n{}\n", wrong.join("\n"));
}

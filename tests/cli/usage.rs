//! Misuse is exit code 2, and says so on standard error.

use crate::world::World;

#[test]
fn misuse_ends_with_2() {
    let world = World::new();
    for arguments in [
        &[][..],
        &["sned"],
        &["init"],
        &["demo", "--messages", "0"],
        &["demo", "--messages", "many"],
        &["inbox", "example"],
        &["send", "--as", "a/b", "--to", "a_b", "--action", "put", "{}"],
    ] {
        let ended = world.run(arguments, &[]);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    let world = World::new();
    assert!(world.good(&["--help"], &[]).contains("demo"));
    assert!(world.good(&["demo", "--help"], &[]).contains("--messages"));
    assert!(world.good(&["--version"], &[]).starts_with("ymp "));
}

#[test]
fn a_token_may_begin_with_a_hyphen() {
    let world = World::new();
    let ended = world.run(&["peer", "list", "--token", "-9abc", "--local", "http://127.0.0.1:1"], &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("no node answers"), "{}", ended.err);
}

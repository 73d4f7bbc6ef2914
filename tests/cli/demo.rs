//! `ymp demo`: ends by itself, counts what it was told to, leaves nothing behind.

use serde_json::Value;

use crate::world::World;

/// The demo with its temporary folder in ours.
fn demo(world: &World, arguments: &[&str]) -> String {
    let folder = world.path().to_str().unwrap();
    world.good(&[&["demo", "--messages", "50"], arguments].concat(), &[("TMPDIR", folder)])
}

#[test]
fn the_demo_proves_what_it_says_at_80_columns_and_leaves_nothing() {
    let world = World::new();
    let said = demo(&world, &[]);
    assert!(said.contains("200 accepted, 200 arrived: 100 and 100"), "{said}");
    assert!(said.contains("beta.test killed (SIGKILL)"), "{said}");
    assert!(said.is_ascii() && !said.contains('\x1b'), "{said}");
    let wide = said.lines().find(|line| line.len() > 80);
    // A long temporary folder is the one thing that cannot be wrapped nicely; it is still wrapped.
    assert_eq!(wide, None);
    assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_tells_machines_the_same_and_keeps_the_folder_on_request() {
    let world = World::new();
    let said = demo(&world, &["--json", "--keep"]);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line.get("ok").is_none_or(|ok| ok == true)), "{said}");
    let proven = lines.iter().find_map(|line| line.get("proven")).unwrap();
    assert_eq!(proven["messages"]["arrived"], 200);
    assert_eq!(proven["refreshes"], 1);
    assert_eq!(proven["kill"]["new-exchanges"], 0);
    let kept = lines.iter().find_map(|line| line["kept"].as_str()).unwrap();
    assert!(std::path::Path::new(kept).join("beta/node.log").exists());
}

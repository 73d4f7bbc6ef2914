//! Two real machines joined by a network: whatever it loses, and however often a host restarts, once it is well all mail
//! is delivered, in order, and nothing that an honest host does is taken for a replay.

use super::world::{Weather, World};

const TEN_MINUTES: u64 = 600_000;

fn simulate(seed: u64, weather: Weather) {
    let mut world = World::new(seed, weather);
    let mut handed_in = [Vec::new(), Vec::new()];
    for seq in 1..=60 {
        let place = usize::from(world.roll(3) == 0);
        handed_in[place].push(seq);
    }
    for (place, seqs) in handed_in.iter().enumerate() {
        let mut at = 0;
        for some in seqs.chunks(4) {
            at += world.roll(60_000);
            world.queue(place, at, some.to_vec());
        }
    }
    // Waits are a quarter of an hour at most while the other side is heard from, six hours where it never was.
    world.run(TEN_MINUTES);
    let end = TEN_MINUTES + 7 * 3_600_000;
    while world.ms < end && world.hosts.iter().any(|host| host.owes() > 0) {
        world.run(world.ms + 60_000);
    }
    for (place, seqs) in handed_in.iter().enumerate() {
        assert_eq!(world.hosts[1 - place].inbox, *seqs, "seed {seed}: host {place} to {}", 1 - place);
        assert_eq!(world.hosts[place].owes(), 0, "seed {seed}: host {place} still owes");
    }
    assert_eq!(world.replays, 0, "seed {seed}: an honest host was taken for a thief");
    assert!(world.packets < 2000, "seed {seed}: {} packets", world.packets);
    // Both ends are linked: what either hands in now is there within a minute.
    for (place, seq) in [(0, 1001), (1, 1002)] {
        let at = world.ms;
        world.queue(place, at, vec![seq]);
    }
    world.run(world.ms + 60_000);
    for (place, seq) in [(1, 1001), (0, 1002)] {
        assert_eq!(world.hosts[place].inbox.last(), Some(&seq), "seed {seed}");
        assert!(world.hosts[place].is_on_disk(), "seed {seed}");
    }
}

#[test]
fn over_a_perfect_network_all_mail_arrives_in_order() {
    for seed in 0..50 {
        simulate(seed, Weather { loss: 0, disk: 0, crashes: 0, until_ms: 0 });
    }
}

#[test]
fn over_a_lossy_network_all_mail_arrives_in_order_once_it_is_well() {
    for seed in 0..150 {
        let loss = 50 + seed % 5 * 100;
        simulate(seed, Weather { loss, disk: 0, crashes: 0, until_ms: TEN_MINUTES });
    }
}

#[test]
fn with_disks_that_fail_and_hosts_that_restart_all_mail_arrives_in_order_once_they_are_well() {
    for seed in 0..150 {
        let weather =
            Weather { loss: 150, disk: seed % 3 * 60, crashes: seed % 4 * 2, until_ms: TEN_MINUTES };
        simulate(seed, weather);
    }
}

#[test]
fn with_a_disk_that_often_fails_to_settle_no_message_is_hidden() {
    for seed in 0..100 {
        simulate(seed, Weather { loss: 0, disk: 400, crashes: 0, until_ms: TEN_MINUTES / 2 });
    }
}

//! The rotation rule of one family.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const T0: Wall = Wall(1_000_000);

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn pair(n: u32, now: Wall) -> NewPair {
    NewPair::new(digest(&format!("a{n}")), HOUR, digest(&format!("r{n}")), DAY, now)
}

fn family() -> Family {
    Family::open(&Subject::Peer(PeerHost::parse("b.test").unwrap()), 1, pair(0, T0), T0)
}

fn rotated(family: &Family, shown: &str, n: u32, now: Wall) -> Family {
    match family.rotate(&digest(shown), pair(n, now), now) {
        Rotated::Fresh(next) => *next,
        other @ (Rotated::Replayed(_) | Rotated::Unknown) => panic!("{shown}: {other:?}"),
    }
}

fn used(family: &Family, shown: &str, now: Wall) -> Family {
    match family.admit(&digest(shown), now) {
        Admitted::First(next) => *next,
        Admitted::Known => family.clone(),
        Admitted::Unknown => panic!("{shown} is not admitted"),
    }
}

fn opens(family: &Family, shown: &str, now: Wall) -> bool {
    family.admit(&digest(shown), now) != Admitted::Unknown
}

//= SEED-REFRESH-2, SEED-PACKET-2, HT-DOOR-01
#[test]
fn each_token_opens_its_own_door_only_and_until_it_runs_out() {
    let family = family();
    assert!(opens(&family, "a0", T0));
    assert!(!opens(&family, "r0", T0));
    assert_eq!(family.rotate(&digest("a0"), pair(1, T0), T0), Rotated::Unknown);
    assert!(!opens(&family, "a0", T0.plus(HOUR)));
    assert_eq!(family.rotate(&digest("r0"), pair(1, T0), T0.plus(DAY)), Rotated::Unknown);
}

//= HT-REF-05, HT-REF-07
#[test]
fn an_old_pair_is_taken_until_the_new_one_is_used_and_its_access_token_30_s_longer() {
    let family = used(&family(), "a0", T0);
    let family = rotated(&family, "r0", 1, T0);
    assert!(opens(&family, "a0", T0) && opens(&family, "a1", T0));
    let later = T0.plus(Duration::from_secs(60));
    let family = used(&family, "a1", later);
    let under_way = later.plus(Duration::from_millis(29_999));
    assert!(opens(&family, "a0", under_way));
    assert!(!opens(&family, "a0", later.plus(UNDER_WAY)));
    assert!(opens(&family, "a1", under_way));
}

//= HT-REF-06
#[test]
fn a_lost_answer_costs_nothing_and_leaves_one_live_successor() {
    let family = rotated(&family(), "r0", 1, T0);
    let family = rotated(&family, "r0", 2, T0);
    assert!(opens(&family, "a0", T0) && opens(&family, "a2", T0));
    assert!(!opens(&family, "a1", T0));
    let family = rotated(&family, "r0", 3, T0);
    let family = rotated(&family, "r3", 4, T0);
    assert!(opens(&family, "a3", T0) && opens(&family, "a4", T0));
}

//= HT-REF-07, HT-REF-09
#[test]
fn a_spent_refresh_token_closes_the_family() {
    for (first_use, replay) in [("a1", "r0"), ("", "r0")] {
        let mut family = rotated(&family(), "r0", 1, T0);
        family =
            if first_use.is_empty() { rotated(&family, "r1", 2, T0) } else { used(&family, first_use, T0) };
        let Rotated::Replayed(closed) = family.rotate(&digest(replay), pair(9, T0), T0) else {
            panic!("a replay was not seen after {first_use:?}")
        };
        for token in ["a0", "a1", "a2"] {
            assert!(!opens(&closed, token, T0));
        }
        assert_eq!(closed.rotate(&digest("r1"), pair(9, T0), T0), Rotated::Unknown);
    }
}

//= HT-REF-12, HT-REF-13
#[test]
fn a_spent_refresh_token_that_could_not_live_any_more_is_unknown() {
    let later = T0.plus(HOUR);
    let family = used(&rotated(&family(), "r0", 1, later), "a1", later);
    assert!(matches!(family.rotate(&digest("r0"), pair(9, later), later), Rotated::Replayed(_)));
    assert_eq!(family.rotate(&digest("r0"), pair(9, later), T0.plus(DAY)), Rotated::Unknown);
}

//= HT-REF-09
#[test]
fn a_refresh_token_of_a_pair_that_died_unused_closes_the_family_too() {
    let family = rotated(&family(), "r0", 1, T0);
    let family = rotated(&family, "r0", 2, T0);
    assert!(matches!(family.rotate(&digest("r1"), pair(9, T0), T0), Rotated::Replayed(_)));
}

//= SEED-REFRESH-1, HT-REF-12, HT-REF-21
#[test]
fn the_chain_holds_for_any_number_of_refreshes_and_remembers_64_spent_ones() {
    let mut family = family();
    for n in 1..200_u32 {
        family = rotated(&family, &format!("r{}", n - 1), n, T0);
        family = used(&family, &format!("a{n}"), T0);
    }
    assert_eq!(family.to_record().spent.len(), SPENT_PER_FAMILY);
    assert!(matches!(family.rotate(&digest("r190"), pair(999, T0), T0), Rotated::Replayed(_)));
    assert_eq!(family.rotate(&digest("r1"), pair(999, T0), T0), Rotated::Unknown);
    assert_eq!(Family::from_record(family.to_record()), family);
}

//= HT-REF-12
#[test]
fn it_is_over_when_nothing_of_it_could_be_shown_any_more() {
    let family = used(&rotated(&family(), "r0", 1, T0), "a1", T0);
    assert!(!family.is_over(T0.plus(HOUR)));
    assert!(family.is_over(T0.plus(DAY)));
    let winding = family.wind_down(T0);
    assert!(opens(&winding, "a1", T0));
    assert!(!opens(&winding, "a1", T0.plus(UNDER_WAY)));
    assert_eq!(winding.rotate(&digest("r1"), pair(2, T0), T0.plus(UNDER_WAY)), Rotated::Unknown);
}

//= HT-ASK-18
#[test]
fn a_family_that_winds_down_does_not_outlive_itself_by_a_refresh() {
    let winding = used(&family(), "a0", T0).wind_down(T0);
    let refreshed = rotated(&winding, "r0", 1, T0);
    assert!(opens(&refreshed, "a1", T0));
    assert!(!opens(&refreshed, "a1", T0.plus(UNDER_WAY)));
    assert_eq!(refreshed.rotate(&digest("r1"), pair(2, T0), T0.plus(UNDER_WAY)), Rotated::Unknown);
    assert!(refreshed.is_over(T0.plus(UNDER_WAY)));
    assert_eq!(refreshed.open_until(), T0.plus(UNDER_WAY));
}

#[test]
fn access_tokens_under_way_are_bounded_however_fast_a_peer_refreshes() {
    let mut family = family();
    for n in 1..100_u32 {
        family = rotated(&family, &format!("r{}", n - 1), n, T0);
    }
    assert!(family.to_record().lingering.len() <= LINGERING_PER_FAMILY);
    assert!(opens(&family, "a98", T0) && opens(&family, "a99", T0));
}

//= HT-CRASH-07
#[test]
fn a_revoked_family_stays_closed_when_the_clock_is_set_back() {
    let family = rotated(&used(&family(), "a0", T0), "r0", 1, T0);
    let family = used(&family, "a1", T0);
    let Rotated::Replayed(closed) = family.rotate(&digest("r0"), pair(9, T0), T0) else {
        panic!("a replay was not seen")
    };
    let earlier = Wall(T0.0 - 30_000);
    for stored in [(*closed).clone(), Family::from_record(closed.to_record())] {
        assert!(stored.is_closed(earlier) && !opens(&stored, "a1", earlier));
        assert!(matches!(stored.rotate(&digest("r1"), pair(9, earlier), earlier), Rotated::Unknown));
    }
}

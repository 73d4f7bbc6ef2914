use super::*;

fn window(per_peer: usize, total: usize) -> Window {
    Window::new(
        HashKey([1; 16]),
        &Settings { dedupe_per_peer: per_peer, dedupe_total: total, ..Settings::default() },
    )
}

fn seen(arrival: u64, peer: u32, received: u64) -> Sighting {
    Sighting { arrival, mark: Mark([arrival, 0]), peer, received: Wall(received), content: arrival }
}

//= HT-PKT-17
#[test]
fn a_peer_over_its_bound_loses_its_own_oldest() {
    let mut window = window(2, 100);
    for (arrival, peer) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        window.insert(&[seen(arrival, peer, 0)]);
    }
    assert_eq!((window.find(&Mark([1, 0])), window.find(&Mark([2, 0]))), (None, Some(2)));
    assert_eq!((window.stale(9), window.evicted()), (&[1][..], 1));
}

//= HT-PKT-17
#[test]
fn over_the_total_the_largest_peer_loses_its_oldest() {
    let mut window = window(100, 4);
    for (arrival, peer) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 1)] {
        window.insert(&[seen(arrival, peer, 0)]);
    }
    assert_eq!(
        (window.entries(), window.find(&Mark([2, 0])), window.find(&Mark([1, 0]))),
        (4, None, Some(1))
    );
}

#[test]
fn what_is_too_old_leaves_and_counts_as_no_eviction() {
    let mut window = window(100, 100);
    for arrival in 1..=10 {
        window.insert(&[seen(arrival, 1, arrival * 2000)]);
    }
    window.expire(Wall(9000));
    assert_eq!(
        (window.find(&Mark([4, 0])), window.find(&Mark([5, 0])), window.evicted()),
        (None, Some(5), 0)
    );
    assert_eq!(window.stale(2), &[1, 2]);
    window.swept(2);
    assert_eq!(window.stale(9), &[3, 4]);
}

#[test]
fn a_run_is_deleted_when_all_of_it_has_left() {
    let mut window = window(2, 100);
    window.insert(&[seen(1, 1, 0), seen(2, 1, 0), seen(3, 1, 0)]);
    assert_eq!((window.find(&Mark([1, 0])), window.stale(9)), (None, &[][..]), "the others are still there");
    window.insert(&[seen(4, 2, 0)]);
    window.insert(&[seen(5, 1, 0), seen(6, 1, 0)]);
    assert_eq!(window.stale(9), &[3]);
}

#[test]
fn a_quiet_peer_keeps_nothing_of_a_busy_one() {
    let mut window = window(10, 100);
    window.insert(&[seen(1, 1, 0)]);
    (2..5000).for_each(|arrival| window.insert(&[seen(arrival, 2, 0)]));
    let runs: usize = window.queues.values().map(|queue| queue.runs.len()).sum();
    assert_eq!((window.entries(), runs), (11, 11));
}

#[test]
fn what_comes_back_at_a_start_is_not_counted_as_evicted_again() {
    let mut window = window(2, 100);
    window.insert(&[seen(1, 1, 0), seen(2, 1, 0), seen(3, 1, 0)]);
    assert_eq!(window.evicted(), 1);
    window.built();
    assert_eq!((window.evicted(), window.entries()), (0, 2));
}

#[test]
fn of_a_message_that_comes_back_twice_the_later_one_counts() {
    let mut window = window(2, 100);
    let again = Sighting { mark: Mark([1, 0]), ..seen(3, 1, 0) };
    window.insert(&[seen(1, 1, 0)]);
    window.insert(&[seen(2, 1, 0)]);
    window.insert(&[again]);
    assert_eq!((window.find(&Mark([1, 0])), window.stale(9)), (Some(3), &[1][..]));
    window.insert(&[seen(4, 1, 0)]);
    window.insert(&[seen(5, 1, 0)]);
    assert_eq!(window.find(&Mark([1, 0])), None);
}

#[test]
fn the_content_of_what_is_remembered_of_long_ago_is_known_again() {
    let key = HashKey([7; 16]);
    let before = SipHasher13::new_with_key(&key.0).hash(b"{}").h1;
    let content = key.content(b"{}");
    assert_ne!(before, content);
    for first in [before, content] {
        assert!(key.is_content(first, content, b"{}"));
        assert!(!key.is_content(first, key.content(b"[]"), b"[]"));
    }
}

#[test]
fn many_that_leave_at_once_leave_as_one_by_one() {
    let (mut at_once, mut singly) = (window(100, 150), window(100, 150));
    let all: Vec<_> =
        (1..=700).map(|arrival| seen(arrival, u32::from(arrival % 300 > 250), arrival)).collect();
    for run in all.chunk_by(|one, next| one.peer == next.peer) {
        at_once.insert(run);
        run.chunks(1).for_each(|one| singly.insert(one));
    }
    for mark in 1..=700 {
        assert_eq!(at_once.find(&Mark([mark, 0])), singly.find(&Mark([mark, 0])), "{mark}");
    }
    assert_eq!((at_once.entries(), at_once.evicted()), (singly.entries(), singly.evicted()));
    assert_eq!(at_once.sizes, singly.sizes);
    let stale = at_once.stale(999).to_vec();
    let held: usize =
        at_once.queues.values().flat_map(|queue| &queue.runs).map(|run| run.live as usize).sum();
    assert_eq!((held, stale.is_empty()), (at_once.entries(), false));
}

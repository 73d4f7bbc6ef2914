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

#[test]
fn what_leaves_makes_room_and_is_not_found_again() {
    let mut window = window(300, 1000);
    let mark = |n: u64| Mark([n.wrapping_mul(0x9E37_79B9_7F4A_7C15), n]);
    let seen = |arrival: u64, peer| Sighting { mark: mark(arrival), ..seen(arrival, peer, arrival) };
    let mut arrival = 0;
    for round in 0..200u64 {
        let peer = u32::try_from(round % 3).unwrap();
        let run: Vec<_> = (1..=97).map(|at| seen(arrival + at, peer)).collect();
        arrival += 97;
        window.insert(&run);
    }
    // Of each peer its last 300: it came with every third run.
    for peer in 0..3u64 {
        let came = (1..=arrival).filter(|at| (at - 1) / 97 % 3 == peer);
        let came: Vec<_> = came.collect();
        let (left, here) = came.split_at(came.len() - 300);
        assert!(left.iter().all(|at| window.find(&mark(*at)).is_none()), "{peer}");
        assert!(here.iter().all(|at| window.find(&mark(*at)) == Some(*at)), "{peer}");
    }
    assert_eq!((window.entries(), window.evicted()), (900, arrival - 900));
    assert!(window.entries.room() <= 900 + 97, "what is free is used before more is taken");
    window.expire(Wall(u64::MAX));
    assert_eq!((window.entries(), window.find(&mark(arrival)), window.queues.len()), (0, None, 0));
    window.insert(&[seen(arrival + 1, 9)]);
    assert_eq!((window.entries(), window.find(&mark(arrival + 1))), (1, Some(arrival + 1)));
}

#[test]
fn what_lay_behind_one_from_the_future_leaves_in_its_time() {
    let mut window = window(2, 100);
    window.insert(&[seen(1, 1, 90_000), seen(2, 1, 1000)]);
    window.expire(Wall(50_000));
    assert_eq!(window.entries(), 2, "they leave in order");
    window.insert(&[seen(3, 1, 60_000)]);
    window.expire(Wall(50_000));
    assert_eq!((window.entries(), window.find(&Mark([2, 0]))), (1, None));
}

#[test]
fn the_largest_loses_until_it_is_no_larger_than_the_next() {
    let mut window = window(100, 10);
    let run = |from: u64, to, peer| (from..to).map(|at| seen(at, peer, 0)).collect::<Vec<_>>();
    window.insert(&run(1, 5, 1));
    window.insert(&run(11, 14, 2));
    window.insert(&run(21, 30, 3));
    // 4, 3 and 9 are six too many: of the nine, five go until it is as large as the first, then it goes on by turns.
    let left = |window: &Window, from: u64, to| {
        (from..to).filter(|at| window.find(&Mark([*at, 0])).is_some()).count()
    };
    assert_eq!((left(&window, 1, 5), left(&window, 11, 14), left(&window, 21, 30)), (4, 3, 3));
    assert_eq!((window.entries(), window.evicted()), (10, 6));
}

#[test]
fn one_that_leaves_early_does_not_hide_older_ones_of_others() {
    let mut window = window(2, 100);
    window.insert(&[seen(1, 1, 1000), seen(2, 1, 5000), seen(3, 1, 9000)]);
    window.insert(&[seen(4, 2, 3000)]);
    window.expire(Wall(4000));
    assert_eq!((window.entries(), window.find(&Mark([4, 0]))), (2, None));
    window.expire(Wall(6000));
    assert_eq!((window.entries(), window.find(&Mark([2, 0]))), (1, None));
    assert_eq!(window.evicted(), 1, "the others were too old");
}

//! Messages that flow while something else happens.

use std::time::Duration;

use super::{Node, Seen, numbered, within};

/// Hands over a message for this host every 30 ms until it is so; returns how many were handed over.
pub(crate) async fn flow(node: &Node, to: &str, what: &str, until: impl Fn() -> bool) -> usize {
    let (app, until) = (node.app(), &until);
    let mut sent = 0;
    within(Duration::from_secs(40), what, || {
        sent += 1;
        let (app, message) = (app.clone(), numbered(&node.host, to, sent - 1));
        async move {
            app.submit(&[message]).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            until().then_some(())
        }
    })
    .await;
    sent
}

/// Ids of so many numbered messages.
pub(crate) fn in_order(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:05}")).collect()
}

/// Packets that messages flowed in came one after the other without a pause: none waited for a token.
pub(crate) fn without_a_gap(packets: &[Seen]) {
    for pair in packets.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap < Duration::from_millis(1500), "nothing was sent for {gap:?}");
    }
}

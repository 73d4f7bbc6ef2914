//! Other settings for a node that runs.
//!
//! The settings are swapped as a whole; then each machine and the lobby get their part, and the peers that stand otherwise
//! now (pinned elsewhere, refused no more) are tried at once. Nothing is sent to a host that the policy refuses from here
//! on, since no road leads there any more: its mail stays queued.

use std::sync::Arc;

use tokio::time::sleep;

use super::{Settings, courier::drive, granting, lookup, shell::Shell, upkeep::START_PACE};
use crate::{link::event::Event, wire::host::PeerHost};

/// Goes on under other settings.
pub(super) fn renew(shell: &Arc<Shell>, settings: Settings) {
    let before = shell.settings();
    shell.readership.renew(&before.readers, &settings.readers, shell.now().mono);
    shell.take(settings);
    let (now, link) = (shell.settings(), shell.link());
    // A machine that is made from here on has the new settings already.
    let slots = shell.registry.slots();
    for slot in &slots {
        slot.lock().renew(Arc::clone(&link));
    }
    granting::renew(shell, now.lobby());
    for slot in &slots {
        let host = slot.lock().host().clone();
        if stands_otherwise(&before, &now, &host) {
            shell.directory.forgive(&host);
            lookup::tell(shell, &host);
            drive(shell, slot, Event::RetryWanted);
        }
    }
}

/// Calls may go otherwise from here on (other roots, ports, kinds of address): whoever rests is tried, at the pace of peers that
/// become due together.
pub(super) fn try_all(shell: &Arc<Shell>) {
    let rests = shell.registry.slots().into_iter().filter(|slot| slot.lock().rests_until().is_some());
    let (slots, shell_then): (Vec<_>, _) = (rests.collect(), Arc::clone(shell));
    shell.spawn(async move {
        for slot in slots {
            let host = slot.lock().host().clone();
            if shell_then.is_draining() {
                return;
            }
            if shell_then.settings().policy.allows(&host) {
                shell_then.directory.forgive(&host);
                drive(&shell_then, &slot, Event::RetryWanted);
                sleep(START_PACE).await;
            }
        }
    });
}

/// Whether what failed to this host under the old settings may go well under the new ones.
fn stands_otherwise(before: &Settings, now: &Settings, host: &PeerHost) -> bool {
    now.policy.allows(host) && (before.pin(host) != now.pin(host) || !before.policy.allows(host))
}

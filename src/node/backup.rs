//! A copy of what the store keeps, and the start from one.
//!
//! Tokens of a copy are old: since it was made they may have been refreshed, and a spent refresh token that is shown again looks
//! stolen, here and to peers. So a node that starts from a copy drops all of them before anything listens; its peers find that
//! out by a 401, and both sides exchange anew.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Error, outbound::reading, shell::Shell};
use crate::{
    store::{Store, StoreError, Vault},
    token::family::Subject,
    wire::{
        host::PeerHost,
        record::{LinkRecord, VaultWrite},
    },
};

/// A backup that was made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Backup")]
pub struct BackupView {
    /// Where it lies, on the node's machine.
    pub dir: String,
    /// Bytes of what was copied.
    pub bytes: u64,
    /// Messages in the inboxes of all services.
    pub inbox_messages: u64,
    /// Messages that wait for other hosts.
    pub outbox_messages: u64,
    /// Dead messages.
    pub dead_messages: u64,
}

/// Makes one, beside the threads that serve. A node that drains gives it up.
pub(super) async fn make(shell: &Arc<Shell>, dir: &Path, who: &str) -> Result<BackupView, Error> {
    let (at, copying) = (dir.to_owned(), Arc::clone(shell));
    tracing::info!(%who, dir = %dir.display(), "a backup is being made");
    let made = reading(move || copying.store.backup(&at, &|| !copying.is_draining())).await;
    let made = made.inspect_err(|error| {
        tracing::warn!(%who, dir = %dir.display(), %error, "the backup was not made");
    })?;
    let view = BackupView {
        dir: dir.display().to_string(),
        bytes: made.bytes,
        inbox_messages: made.inbox,
        outbox_messages: made.outbox,
        dead_messages: made.dead,
    };
    tracing::info!(
        %who,
        dir = view.dir,
        bytes = view.bytes,
        inbox = view.inbox_messages,
        outbox = view.outbox_messages,
        dead = view.dead_messages,
        "a backup was made"
    );
    Ok(view)
}

/// Drops the tokens of all links in both directions, in one commit: those that peers gave us, those that we gave them, grants
/// that were offered, and what recognises repeated grants. Everything else stays. Answers how many links had any.
///
/// # Errors
/// What the store says; nothing has changed then, or it is not known whether.
pub async fn drop_tokens(store: &dyn Store) -> Result<usize, StoreError> {
    let contents = Vault::read(store)?;
    let (mut links, mut writes) = (BTreeSet::<PeerHost>::new(), Vec::new());
    for link in contents.links {
        if !link.held.is_empty() || !link.repeats.is_empty() {
            links.insert(link.host.clone());
            let bare = LinkRecord { held: Vec::new(), repeats: Vec::new(), ..link };
            writes.push(VaultWrite::PutLink(Box::new(bare)));
        }
    }
    for family in contents.families {
        links.extend(Subject::from_text(&family.subject).map(|Subject::Peer(host)| host));
        writes.push(VaultWrite::DropFamily { subject: family.subject, id: family.id });
    }
    if !writes.is_empty() {
        store.commit(writes)?.await?;
    }
    Ok(links.len())
}

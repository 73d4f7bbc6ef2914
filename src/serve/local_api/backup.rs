//! A copy of all that the node keeps, for admins.
//!
//! `POST /v1/backup` with `{"dir":"/absolute/path"}`: 200 once the copy lies there, whole and on disk; 409 with the reason where it
//! cannot. The node's own process writes it, so that the path is one of its machine. It goes on when the caller goes away.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Call,
    operation::{Body, Operation, Reply, Who, of},
};
use crate::{
    node::BackupView,
    serve::{
        carry::carry_on,
        problem,
        respond::{Answer, Fault, json},
    },
    wire::{object::object_of_slice, refusal::Refusal},
};

pub(super) const CALLS: &[Operation] = &[Operation {
    method: "POST",
    path: "/v1/backup",
    who: Who::Admin,
    summary: "Copy all that the node keeps into a new folder",
    notes: "All that was accepted before the call is in it, and the node goes on meanwhile. The folder is made by the node, on \
            its own machine, for its owner only. It is answered when the copy is on disk, however long that takes.",
    parameters: &[],
    body: Some(Body { schema: of::<BackupIn>, example: r#"{"dir":"/var/backups/ymp/2026-01-31"}"# }),
    answers: &[Reply::json(
        "what the copy holds",
        of::<BackupView>,
        r#"{"dir":"/var/backups/ymp/2026-01-31","bytes":1048576,"inbox-messages":17,"outbox-messages":3,
            "dead-messages":0}"#,
    )],
    problems: &[&problem::BACKUP, &problem::UNAVAILABLE],
    run: |call| Box::pin(make(call)),
}];

/// Where a backup is to lie.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackupTo")]
struct BackupIn {
    /// An absolute path on the node's machine: a folder that is not there yet, or an empty one.
    #[schemars(length(min = 1))]
    dir: String,
}

async fn make(mut call: Call<'_>) -> Result<Answer, Fault> {
    let dir = folder(&call.json().await?)?;
    let (node, who) = (call.node(), call.app.name.clone());
    let made = carry_on(async move { node.backup(&dir, &who).await }).await?;
    Ok(json(hyper::StatusCode::OK, &made))
}

fn folder(body: &[u8]) -> Result<PathBuf, Fault> {
    let malformed = || {
        let what = "the body must be {\"dir\":\"/an/absolute/path\"}".to_owned();
        Fault::from(Refusal::Malformed { what, index: None })
    };
    let to: BackupIn = object_of_slice(body).map_err(|_| malformed())?;
    let dir = Path::new(&to.dir);
    if !dir.is_absolute() || to.dir.contains('\0') { Err(malformed()) } else { Ok(dir.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_path_is_taken() {
        assert_eq!(folder(br#"{"dir":"/a/b"}"#).unwrap(), Path::new("/a/b"));
        for bad in
            ["", "{}", r#"{"dir":"a/b"}"#, r#"{"dir":""}"#, r#"{"dir":"/a","x":1}"#, r#"{"dir":"/a\u0000"}"#]
        {
            assert_eq!(folder(bad.as_bytes()).unwrap_err().status(), 400, "{bad}");
        }
    }
}

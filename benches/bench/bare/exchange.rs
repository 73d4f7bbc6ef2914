//! A bare exchange: TCP connect, a full TLS handshake with a check of the chain, a POST of 500 bytes over HTTP/1.1, the 204,
//! close. Nothing is resumed.

use tokio::io::AsyncWriteExt as _;

use crate::{
    load::{Head, http1, line::Target},
    outcome::Outcome,
};

/// About what a token request weighs.
const BODY: [u8; 500] = [b'x'; 500];

/// Makes so many, one after the other.
///
/// # Errors
/// One fails.
pub(crate) async fn run(target: &Target, head: &Head, count: u64) -> Outcome<()> {
    let mut out = http1::written(head, BODY.len());
    out.extend_from_slice(&BODY);
    let mut input = Vec::with_capacity(1024);
    for _ in 0..count {
        let mut line = target.open().await?;
        line.write_all(&out).await?;
        line.flush().await?;
        http1::answer(&mut line, &mut input, head.expect).await?;
        line.shutdown().await?;
    }
    Ok(())
}

//! One connection of HTTP/1.1, kept open, one request at a time.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Head, Turns, bodies::Bodies, line::Line};
use crate::outcome::{Outcome, failed};

/// Makes requests while there are turns: how many.
///
/// # Errors
/// A wrong answer, or the connection ends.
pub(crate) async fn run(mut line: Line, head: &Head, bodies: &Bodies, turns: &Turns) -> Outcome<u64> {
    let written = written(head, bodies.len());
    let (mut out, mut input, mut done) = (Vec::new(), Vec::with_capacity(4096), 0);
    while turns.take() {
        out.clear();
        out.extend_from_slice(&written);
        bodies.write(&mut out);
        line.write_all(&out).await?;
        line.flush().await?;
        answer(&mut line, &mut input, head.expect).await?;
        done += 1;
    }
    Ok(done)
}

/// The head of a request whose body has so many bytes.
pub(crate) fn written(head: &Head, length: usize) -> Vec<u8> {
    let Head { authority, path, bearer, .. } = head;
    format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Reads one answer whole and looks at its status.
///
/// # Errors
/// Another status, or the connection ends.
pub(crate) async fn answer(line: &mut Line, input: &mut Vec<u8>, expect: u16) -> Outcome<()> {
    input.clear();
    let end = loop {
        let from = input.len().saturating_sub(3);
        if line.read_buf(input).await? == 0 {
            return failed("the connection ended before the answer");
        }
        if let Some(at) = input[from..].windows(4).position(|four| four == b"\r\n\r\n") {
            break from + at + 4;
        }
    };
    let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let whole = end + length.unwrap_or(0);
    while input.len() < whole {
        if line.read_buf(input).await? == 0 {
            return failed("the connection ended within the answer");
        }
    }
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse::<u16>().ok());
    if status != Some(expect) || input.len() > whole {
        return failed(format!("not {expect}: {}", String::from_utf8_lossy(input)));
    }
    Ok(())
}

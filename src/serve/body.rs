//! Reading bodies within bounds.
//!
//! - A body over its limit is `TooLarge` at once where `Content-Length` says so, else at the byte that goes over.
//! - A caller that is still writing does not see an answer to what it writes, so what is not wanted of a body is read and
//!   thrown away first, up to 8 MiB or 5 s (`https-token`, "Checks, in this order").
//! - A caller that waits for `100 Continue` is not drained: it has not begun to write.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, body::Body, header};
use tokio::time::timeout;

use crate::wire::limits;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// Over the limit: 413.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not whole in time: 408.
    #[error("the body did not come in time")]
    Late,
    /// The caller broke off or sent no valid framing: 400, if anyone still reads it.
    #[error("the body broke off")]
    Broken,
}

/// A request's body, and whether its caller waits for `100 Continue` before it writes.
#[derive(Debug)]
pub(crate) struct Incoming<B> {
    body: B,
    held_back: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Incoming<B> {
    pub(crate) fn new(headers: &HeaderMap, body: B) -> Self {
        Self { body, held_back: headers.contains_key(header::EXPECT) }
    }

    /// Whether there is anything to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The whole body. A single frame is not copied.
    ///
    /// # Errors
    /// `BodyError`; what was left of the body is thrown away by then.
    pub(crate) async fn read(mut self, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
        if self.body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            self.throw_away().await;
            return Err(BodyError::TooLarge { limit });
        }
        let read = timeout(time, collect(&mut self.body, limit)).await.unwrap_or(Err(BodyError::Late));
        if matches!(read, Err(BodyError::TooLarge { .. })) {
            self.held_back = false;
            self.throw_away().await;
        }
        read
    }

    /// Reads what is left and throws it away, up to 8 MiB or 5 s.
    pub(crate) async fn throw_away(mut self) {
        if self.held_back || self.is_empty() {
            return;
        }
        let rest = async {
            let mut left = limits::DRAIN_BYTES_MAX;
            while let Some(Ok(frame)) = self.body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                left = match left.checked_sub(bytes) {
                    Some(left) => left,
                    None => return,
                };
            }
        };
        // In time or not, the answer is written next.
        let _ = timeout(limits::DRAIN_TIME_MAX, rest).await;
    }
}

async fn collect<B: Body<Data = Bytes> + Unpin>(body: &mut B, limit: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are of no interest.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

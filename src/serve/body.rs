//! Reading bodies within bounds.
//!
//! - A body over its limit is `TooLarge` at once where `Content-Length` says so, else at the byte that goes over.
//! - A caller that is still writing does not see an answer to what it writes, so what is not wanted of a body is read and
//!   thrown away first, up to 8 MiB or 5 s (`https-token`, "Checks, in this order").
//! - A caller that waits for `100 Continue` is not drained: it has not begun to write.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Version, body::Body, header};
use tokio::time::timeout;

use super::shares::Share;
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
    /// All bodies in hand together, or this client's, are as large as they may be: 503.
    #[error("there is no room for this body now")]
    Busy,
}

/// Room for a body on its word, in sizes of its first two frames.
const ANNOUNCED_TIMES: usize = 3;

/// A request's body, and whether its caller waits for `100 Continue` before it writes.
#[derive(Debug)]
pub(crate) struct Incoming<B> {
    body: B,
    held_back: bool,
    /// What says that a body is whole is then the stream's end alone.
    streams: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Incoming<B> {
    pub(crate) fn new(version: Version, headers: &HeaderMap, body: B) -> Self {
        let held_back = headers.contains_key(header::EXPECT);
        Self { body, held_back, streams: version == Version::HTTP_2 }
    }

    /// Whether there is anything to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The whole body, counted in `share` while it comes. A single frame is not copied.
    ///
    /// # Errors
    /// `BodyError`; what was left of the body is thrown away by then.
    pub(crate) async fn read(
        mut self,
        limit: usize,
        time: Duration,
        share: &mut Share,
    ) -> Result<Bytes, BodyError> {
        if self.body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            self.throw_away().await;
            return Err(BodyError::TooLarge { limit });
        }
        let mut read =
            timeout(time, collect(&mut self.body, limit, share)).await.unwrap_or(Err(BodyError::Late));
        // hyper takes a reset without an error for an end.
        if self.streams && read.is_ok() && !self.body.is_end_stream() {
            read = Err(BodyError::Broken);
        }
        if matches!(read, Err(BodyError::TooLarge { .. } | BodyError::Busy)) {
            self.held_back = false;
            self.throw_away().await;
        }
        read
    }

    //= HT-CHK-09: up to 8 MiB or 5 s
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

async fn collect<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are of no interest.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        //= HT-PKT-11: 413
        if first.len() + all.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        share.grow(data.len()).map_err(|_| BodyError::Busy)?;
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                // What is announced, as far as what has come makes it likely: nobody holds memory by announcing alone.
                let come = first.len() + data.len();
                let left = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).min(limit);
                all.reserve(come + left.min(ANNOUNCED_TIMES * come));
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use hyper::body::Frame;

    use super::*;

    /// Frames, then the end, or nothing more for ever.
    struct Frames {
        left: VecDeque<Bytes>,
        stalls: bool,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let this = self.get_mut();
            match this.left.pop_front() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None if this.stalls => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    fn body(frames: &[&'static str], stalls: bool) -> Incoming<Frames> {
        let left = frames.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        Incoming::new(Version::HTTP_11, &HeaderMap::new(), Frames { left, stalls })
    }

    fn share() -> Share {
        crate::serve::shares::Shares::new(100, 100).open(std::net::Ipv4Addr::LOCALHOST.into())
    }

    const TIME: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_single_frame_is_not_copied() {
        let one = "one frame";
        let read = body(&[one], false).read(9, TIME, &mut share()).await.unwrap();
        assert_eq!(read.as_ptr(), one.as_ptr());
        assert_eq!(body(&["a", "", "b", "c"], false).read(3, TIME, &mut share()).await.unwrap(), "abc");
        assert_eq!(body(&[], false).read(0, TIME, &mut share()).await.unwrap(), "");
    }

    //= HT-CHK-09
    #[tokio::test]
    async fn a_body_over_its_limit_is_too_large_and_read_to_its_end() {
        let read = body(&["abc", "d", "e", "f"], false).read(3, TIME, &mut share()).await;
        assert_eq!(read, Err(BodyError::TooLarge { limit: 3 }));
        let declared = Incoming::new(
            Version::HTTP_11,
            &HeaderMap::new(),
            http_body_util::Full::new(Bytes::from_static(b"abcd")),
        );
        assert_eq!(declared.read(3, TIME, &mut share()).await, Err(BodyError::TooLarge { limit: 3 }));
    }

    #[tokio::test]
    async fn a_body_that_finds_no_room_is_told_to_come_back() {
        let shares = crate::serve::shares::Shares::new(4, 3);
        let mut share = shares.open(std::net::Ipv4Addr::LOCALHOST.into());
        assert_eq!(body(&["ab", "cd"], false).read(9, TIME, &mut share).await, Err(BodyError::Busy));
        drop(share);
        let mut share = shares.open(std::net::Ipv4Addr::LOCALHOST.into());
        assert_eq!(body(&["ab", "c"], false).read(9, TIME, &mut share).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_late() {
        assert_eq!(body(&["abc"], true).read(9, TIME, &mut share()).await, Err(BodyError::Late));
    }

    #[tokio::test]
    async fn a_caller_that_waits_for_100_continue_is_not_drained() {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECT, header::HeaderValue::from_static("100-continue"));
        let frames = Frames { left: VecDeque::new(), stalls: true };
        assert!(timeout(TIME, Incoming::new(Version::HTTP_11, &headers, frames).throw_away()).await.is_ok());
    }
}

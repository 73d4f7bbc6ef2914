//! The body of an answer: whole, or a stream of events that ends when its writer does or its reader goes away.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::phase::Hold;

/// What is sent back.
#[derive(Debug)]
pub enum Content {
    /// Known whole.
    Whole(Full<Bytes>),
    /// Written bit by bit.
    Stream(Stream),
}

/// A body that is being written.
#[derive(Debug)]
pub struct Stream {
    bits: mpsc::Receiver<Bytes>,
    /// A connection with a stream on it is not idle.
    hold: Option<Hold>,
}

impl Content {
    /// A body that is known whole.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }

    /// A stream and its writing end: one bit waits for the reader at most.
    pub(crate) fn stream() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, bits) = mpsc::channel(1);
        (sender, Self::Stream(Stream { bits, hold: None }))
    }

    /// The request stays in hand as long as its answer is being written.
    pub(crate) fn keep(&mut self, hold: Hold) {
        match self {
            Self::Whole(_) => drop(hold),
            Self::Stream(stream) => stream.hold = Some(hold),
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Stream(stream) => stream.bits.poll_recv(cx).map(|bit| bit.map(|bit| Ok(Frame::data(bit)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

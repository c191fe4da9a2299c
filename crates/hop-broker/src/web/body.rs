//! An answer's body that comes piece by piece. Nothing is made before the reader wants it, and nothing after it left.

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::OwnedSemaphorePermit;

type Next<S> = Pin<Box<dyn Future<Output = Option<(Vec<u8>, S)>> + Send>>;

/// Pieces that a function makes from a state, one after another.
struct Pieces<S, F> {
    next: Option<Next<S>>,
    step: F,
    /// Its place among the streams.
    _place: OwnedSemaphorePermit,
}

/// A body of what `step` makes, until it makes nothing.
pub(super) fn pieces<S, F, N>(place: OwnedSemaphorePermit, state: S, step: F) -> Body
where
    S: Send + 'static,
    F: Fn(S) -> N + Send + Unpin + 'static,
    N: Future<Output = Option<(Vec<u8>, S)>> + Send + 'static,
{
    let step = move |state| -> Next<S> { Box::pin(step(state)) };
    Body::new(Pieces { next: Some(step(state)), step, _place: place })
}

impl<S, F> HttpBody for Pieces<S, F>
where
    F: Fn(S) -> Next<S> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = self.next.as_mut() else { return Poll::Ready(None) };
        let made = ready!(next.as_mut().poll(context));
        self.next = None;
        let Some((piece, state)) = made else { return Poll::Ready(None) };
        self.next = Some((self.step)(state));
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}

//! Bytes of an answer that stay where the ring has them.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Pieces shorter than this are joined by copying: sound and still pictures come in a few hundred bytes,
/// and a socket that is written to piece by piece costs every reader more than one copy for all of them.
const MIN_PIECE_BYTES: usize = 4 << 10;

/// The bytes of a part or a segment, in order. Cheap to clone: all readers share them, and the larger
/// pieces are the ring's own memory.
#[derive(Debug, Clone)]
pub struct Body {
    pieces: Arc<[Bytes]>,
    len: usize,
}

impl Body {
    /// These pieces; short neighbours are joined.
    pub(super) fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut joined: Vec<Bytes> = Vec::new();
        let mut short = BytesMut::new();
        for piece in pieces {
            if piece.len() < MIN_PIECE_BYTES {
                short.extend_from_slice(&piece);
                continue;
            }
            if !short.is_empty() {
                joined.push(short.split().freeze());
            }
            joined.push(piece);
        }
        if !short.is_empty() {
            joined.push(short.freeze());
        }
        Self::as_it_is(joined)
    }

    /// One after the other.
    pub(super) fn chain<'a>(bodies: impl IntoIterator<Item = &'a Self>) -> Self {
        let pieces = bodies.into_iter().flat_map(|body| body.pieces.iter());
        Self::as_it_is(pieces.cloned().collect())
    }

    fn as_it_is(pieces: Vec<Bytes>) -> Self {
        Self {
            len: pieces.iter().map(Bytes::len).sum(),
            pieces: pieces.into(),
        }
    }

    /// Bytes altogether.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, as handles.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let count = self.pieces.len();
        (0..count).map(move |n| self.pieces[n].clone())
    }

    /// A copy in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_neighbours_become_one_piece_and_long_ones_stay_where_they_are() {
        let long = Bytes::from(vec![7; MIN_PIECE_BYTES]);
        let short = |text: &'static str| Bytes::from_static(text.as_bytes());
        let body = Body::of([short("a"), short("b"), long.clone(), short("c")]);
        let pieces: Vec<Bytes> = body.clone().into_pieces().collect();
        assert_eq!(pieces, [short("ab"), long.clone(), short("c")]);
        assert_eq!(pieces[1].as_ptr(), long.as_ptr(), "it is not copied");
        assert_eq!(body.len(), long.len() + 3);
        let twice = Body::chain([&body, &body]);
        assert_eq!(twice.to_vec(), [body.to_vec(), body.to_vec()].concat());
        assert!(Body::of([]).is_empty());
    }
}

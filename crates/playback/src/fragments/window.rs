//! The newest fragments of a watched channel.

use super::cursor::Cursor;
use super::piece::Piece;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes kept before the newest key frame: at 4 Mbit/s a reader may be 8 s behind before it jumps.
const MAX_BACKLOG_BYTES: usize = 4 << 20;
/// Bytes kept in all. A newest GOP beyond it loses its key frame: who joins or lags then waits for the
/// next one.
const MAX_WINDOW_BYTES: usize = 32 << 20;
/// Fragments kept in all, however small: each costs memory beside its bytes.
const MAX_PIECES: usize = 20_000;

/// Fragments by number, oldest dropped first.
#[derive(Debug, Default)]
pub(super) struct Window {
    pieces: VecDeque<Arc<Piece>>,
    /// Number of the first one in `pieces`.
    first: u64,
    bytes: usize,
    newest_key: Option<u64>,
    /// Bytes from the newest key frame on.
    key_bytes: usize,
}

impl Window {
    pub(super) fn end(&self) -> u64 {
        self.first + self.pieces.len() as u64
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    pub(super) const fn newest_key(&self) -> Option<u64> {
        self.newest_key
    }

    pub(super) fn get(&self, number: u64) -> Option<&Arc<Piece>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.pieces.get(index)
    }

    /// Number of the fragment behind the one that ends at this cursor.
    pub(super) fn after(&self, cursor: &Cursor) -> Option<u64> {
        let is_it = |piece: &Arc<Piece>| {
            piece.cursor.run == cursor.run
                && piece.cursor.video == cursor.video
                && piece.cursor.audio == cursor.audio
        };
        let back = self.pieces.iter().rev().position(is_it)?;
        Some(self.end() - back as u64)
    }

    pub(super) fn push(&mut self, piece: Piece) {
        if piece.is_key {
            self.newest_key = Some(self.end());
            self.key_bytes = 0;
        }
        self.bytes += piece.wire.len();
        self.key_bytes += piece.wire.len();
        self.pieces.push_back(Arc::new(piece));
        while self.is_too_large() {
            let Some(dropped) = self.pieces.pop_front() else {
                return;
            };
            self.bytes -= dropped.wire.len();
            if self.newest_key == Some(self.first) {
                self.newest_key = None;
            }
            self.first += 1;
        }
    }

    fn is_too_large(&self) -> bool {
        let backlog = self.newest_key.map_or(0, |_| self.bytes - self.key_bytes);
        self.bytes > MAX_WINDOW_BYTES
            || backlog > MAX_BACKLOG_BYTES
            || self.pieces.len() > MAX_PIECES
    }
}

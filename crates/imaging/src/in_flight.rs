//! One decode for all who want the same picture at the same time.

use framewell_decode::{Error, Output, Picture};
use framewell_model::{ChannelId, WallTime};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Which picture in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PictureKey {
    pub(crate) channel: ChannelId,
    pub(crate) captured: WallTime,
    pub(crate) pts: i64,
    pub(crate) output: Output,
}

type Cell = Arc<OnceCell<Picture>>;

/// The pictures being made now; nothing is kept once the last caller has its copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight {
    cells: Arc<Mutex<HashMap<PictureKey, Cell>>>,
}

impl InFlight {
    /// Makes the picture, or waits for the caller who is making it. If that one goes away or fails,
    /// the next in line makes it.
    pub(crate) async fn join<F>(
        &self,
        key: PictureKey,
        decode: impl FnOnce() -> F,
    ) -> Result<Picture, Error>
    where
        F: Future<Output = Result<Vec<Picture>, Error>>,
    {
        let guest = self.enter(key);
        let make = || async {
            let pictures = decode().await?;
            let none = || Error::Bitstream("no picture came out".into());
            pictures.into_iter().next().ok_or_else(none)
        };
        guest.cell.get_or_try_init(make).await.cloned()
    }

    fn enter(&self, key: PictureKey) -> Guest<'_> {
        let cell = Arc::clone(self.cells.lock().entry(key).or_default());
        Guest {
            cell,
            key,
            owner: self,
        }
    }
}

/// A caller waiting at a cell; the last one to leave takes it away.
struct Guest<'a> {
    cell: Cell,
    key: PictureKey,
    owner: &'a InFlight,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut cells = self.owner.cells.lock();
        // The map's own handle and this one; new guests come in under the lock only.
        if Arc::strong_count(&self.cell) == 2 {
            cells.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use framewell_decode::PictureFormat;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    fn key(pts: i64) -> PictureKey {
        PictureKey {
            channel: "7".parse().unwrap(),
            captured: WallTime::from_secs(1),
            pts,
            output: Output::jpeg(80),
        }
    }

    fn picture() -> Picture {
        Picture {
            tag: 0,
            pts: 0,
            width: 1,
            height: 1,
            format: PictureFormat::Png,
            change: None,
            data: Bytes::from_static(b"x"),
        }
    }

    #[tokio::test]
    async fn the_same_picture_is_made_once_and_then_forgotten() {
        let (in_flight, made, gate) = (InFlight::default(), AtomicUsize::new(0), Semaphore::new(0));
        let ask = |pts| {
            in_flight.join(key(pts), || async {
                made.fetch_add(1, Ordering::Relaxed);
                let _permit = gate.acquire().await.unwrap();
                Ok(vec![picture()])
            })
        };
        let open = async { gate.add_permits(9) };
        let (a, b, c, ()) = tokio::join!(ask(1), ask(1), ask(2), open);
        assert_eq!(
            (a.unwrap(), b.unwrap(), c.unwrap()),
            (picture(), picture(), picture())
        );
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert!(in_flight.cells.lock().is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_or_fails_leaves_the_work_to_the_next() {
        let in_flight = InFlight::default();
        let mut gone = Box::pin(in_flight.join(key(1), std::future::pending));
        std::future::poll_fn(|context| {
            assert!(gone.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        let failing = in_flight.join(key(1), || async { Err(Error::Busy) });
        let working = in_flight.join(key(1), || async { Ok(vec![picture()]) });
        let leave = async { drop(gone) };
        let (failed, made, ()) = tokio::join!(failing, working, leave);
        assert!(matches!(failed, Err(Error::Busy)));
        assert_eq!(made.unwrap(), picture());
        assert!(in_flight.cells.lock().is_empty());
    }
}

//! A second look at what a list suspects, and what can be done about it.

use crate::object::{difference, digest_of, row_of};
use crate::{Archive, Error, Finding, FindingKind, key_of};
use framewell_blob::ObjectKey;
use framewell_catalog::{SegmentFacts, SegmentRow};
use framewell_fmp4::{SampleTables, scan_segment};
use framewell_model::{ErrorKind, HasKind, Seal, SealSource, SegmentState};

impl Archive {
    /// The finding, if it is still one: recording, publishing and deletion go on while a check runs.
    pub(super) async fn confirm(&self, suspect: Finding) -> Result<Option<Finding>, Error> {
        let (Some(id), Some(start)) = (suspect.segment, suspect.start) else {
            return Ok(Some(suspect));
        };
        let key = ObjectKey::Segment {
            channel: suspect.channel,
            start,
            id,
        };
        let size = self.size(&key).await?;
        let row = self.catalog.segment_row(id).await?;
        let state = row.as_ref().map(|row| row.state);
        let is_still = match suspect.kind {
            FindingKind::MissingRow => {
                // A deletion takes the object before the row.
                state.is_none() && self.size(&key).await?.is_some()
            }
            FindingKind::MissingObject => {
                state == Some(SegmentState::Published)
                    && row.is_some_and(|row| row.segment.range.start == start)
                    && size.is_none()
            }
            FindingKind::Size => state == Some(SegmentState::Published) && size.is_some(),
            FindingKind::Staged => {
                // With a file in the spool folder, the recorder is not done yet.
                state == Some(SegmentState::Staged) && !self.is_spooled(&suspect).await?
            }
            FindingKind::Doomed => state == Some(SegmentState::Doomed),
            _ => true,
        };
        Ok(is_still.then_some(suspect))
    }

    /// Does what loses nothing, and says what it did; `None` if there is no such thing.
    pub(super) async fn repair(&self, finding: &Finding) -> Result<Option<&'static str>, Error> {
        let Some(id) = finding.segment else {
            return Ok(None);
        };
        let row = self.catalog.segment_row(id).await?;
        let done = match (finding.kind, row) {
            (FindingKind::Staged, Some(row)) => self.finish_staged(&row).await,
            (FindingKind::Doomed, Some(row)) => self.finish_doomed(&row).await,
            (FindingKind::MissingObject, Some(row)) => self.give_up(&row).await,
            (FindingKind::MissingRow, None) => self.adopt(finding).await,
            _ => Ok(None),
        };
        match done {
            // A hold keeps the row: what it is to keep is lost, and that is for people to decide.
            Err(Error::Catalog(framewell_catalog::Error::Held { .. })) => Ok(None),
            // The server was faster.
            Err(Error::Catalog(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
            done => done,
        }
    }

    async fn finish_staged(&self, row: &SegmentRow) -> Result<Option<&'static str>, Error> {
        let record = row.segment.record;
        match self.size(&key_of(&row.segment)).await? {
            Some(size) if i64::try_from(size) == Ok(row.segment.size_bytes) => {
                let now = self.clock.now();
                self.catalog.publish_segment(record, now).await?;
                Ok(Some("published"))
            }
            // Another length than the row says: not ours to judge.
            Some(_) => Ok(None),
            None => self.give_up(row).await,
        }
    }

    async fn finish_doomed(&self, row: &SegmentRow) -> Result<Option<&'static str>, Error> {
        self.blobs.delete(&key_of(&row.segment)).await?;
        self.catalog
            .delete_doomed_segment(row.segment.record)
            .await?;
        Ok(Some("deleted"))
    }

    /// A row whose object is gone becomes a gap.
    async fn give_up(&self, row: &SegmentRow) -> Result<Option<&'static str>, Error> {
        let now = self.clock.now();
        self.catalog
            .give_up_segment(row.segment.record, now)
            .await?;
        Ok(Some("the row is gone, a gap says that footage is lost"))
    }

    /// An object that is whole, and lies where it says that it belongs, gets a row.
    async fn adopt(&self, finding: &Finding) -> Result<Option<&'static str>, Error> {
        let (Some(id), Some(start)) = (finding.segment, finding.start) else {
            return Ok(None);
        };
        let key = ObjectKey::Segment {
            channel: finding.channel,
            start,
            id,
        };
        let Some(object) = self.adoptable(&key).await? else {
            return Ok(None);
        };
        self.insert(&object).await?;
        let range = object.row.range;
        let slack = framewell_footage::CONTINUITY_US;
        self.catalog.cut_gaps(finding.channel, range, slack).await?;
        Ok(Some("a row was made from the object"))
    }

    /// What a whole object says of itself; `None` if it is damaged or is not what its key says.
    async fn adoptable(&self, key: &ObjectKey) -> Result<Option<Adopted>, Error> {
        let size = self.size(key).await?.unwrap_or(0);
        if size > crate::object::MAX_WHOLE_BYTES {
            return Ok(None);
        }
        let Some(data) = self.whole(key, size).await? else {
            return Ok(None);
        };
        Ok(Adopted::whole(key, &data))
    }

    /// Stages and publishes the row of an object that is there.
    pub(crate) async fn insert(&self, object: &Adopted) -> Result<(), Error> {
        let now = self.clock.now();
        let facts = SegmentFacts {
            seal: Some(&object.seal),
            sample_runs: &object.samples.encode_runs(),
            sample_sizes: object.samples.encoded_sizes(),
        };
        let staging = self.catalog.stage_known_segment(&object.row, facts, now);
        let record = staging.await?;
        Ok(self.catalog.publish_segment(record, now).await?)
    }
}

/// An object as its own bytes tell it.
#[derive(Debug, Clone)]
pub(crate) struct Adopted {
    pub(crate) row: framewell_catalog::NewSegment,
    pub(crate) seal: Seal,
    pub(crate) samples: SampleTables,
    pub(crate) link: Option<framewell_model::ChainLink>,
    /// Bytes behind the last complete fragment.
    pub(crate) torn_bytes: u64,
}

impl Adopted {
    /// `None` unless it has a complete fragment and says that it is what its key says.
    pub(crate) fn read(key: &ObjectKey, data: &[u8]) -> Option<Self> {
        let scanned = scan_segment(data).ok()?;
        let identity = scanned.identity?;
        let own = ObjectKey::Segment {
            channel: identity.channel,
            start: identity.wall_start,
            id: identity.segment,
        };
        let row = row_of(&identity, &scanned).filter(|_| own.path() == key.path())?;
        Some(Self {
            row,
            seal: Seal {
                digest: digest_of(data),
                source: SealSource::Rebuilt,
            },
            link: scanned.link,
            torn_bytes: (data.len() as u64).saturating_sub(scanned.index.len_bytes()),
            samples: scanned.index.samples,
        })
    }

    /// [`Adopted::read`] of an object without damage.
    fn whole(key: &ObjectKey, data: &[u8]) -> Option<Self> {
        Self::read(key, data).filter(|object| object.torn_bytes == 0)
    }
}

/// In what an object's head differs from its row.
pub(super) fn foreign_head(
    identity: Option<framewell_fmp4::SegmentIdentity>,
    row: &SegmentRow,
) -> Option<String> {
    match identity {
        Some(identity) => difference(&identity, &row.segment),
        None => Some("the object does not say who it is".to_owned()),
    }
}

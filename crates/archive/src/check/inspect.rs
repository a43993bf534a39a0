//! A look into an object whose row and length agree.

use super::Depth;
use super::confirm::foreign_head;
use crate::object::{HEAD_BYTES, MAX_WHOLE_BYTES, digest_of};
use crate::{Archive, Error, Finding, FindingKind, key_of};
use framewell_catalog::SegmentRow;
use framewell_fmp4::{SegmentIndex, fingerprint, parse_fragment, parse_init, scan_segment};
use framewell_model::SegmentState;

/// What is wrong, in short.
type Fault = Option<(FindingKind, String)>;

impl Archive {
    pub(super) async fn inspect(
        &self,
        row: SegmentRow,
        depth: Depth,
    ) -> Result<Option<Finding>, Error> {
        let index = match SegmentIndex::decode(&row.segment.index) {
            Ok(index) => index,
            Err(error) => return Ok(Some(finding(&row, (FindingKind::Index, error.to_string())))),
        };
        if i64::try_from(index.len_bytes()) != Ok(row.segment.size_bytes) {
            let what = format!(
                "the index ends at byte {}, the row at {}",
                index.len_bytes(),
                row.segment.size_bytes
            );
            return Ok(Some(finding(&row, (FindingKind::Index, what))));
        }
        let fault = if depth == Depth::Full && index.len_bytes() <= MAX_WHOLE_BYTES {
            self.read_whole(&row, &index).await?
        } else {
            self.read_heads(&row, &index).await?
        };
        let Some(fault) = fault else { return Ok(None) };
        // What was deleted meanwhile cannot be read, and is no finding.
        let now = self.catalog.segment_row(row.segment.id).await?;
        let is_there = now.is_some_and(|now| now.state == SegmentState::Published);
        Ok(is_there.then(|| finding(&row, fault)))
    }

    /// The head, and that of the last fragment.
    async fn read_heads(&self, row: &SegmentRow, index: &SegmentIndex) -> Result<Fault, Error> {
        let key = key_of(&row.segment);
        let head = self
            .head(&key, u64::from(index.init_len).min(HEAD_BYTES))
            .await?;
        let Some(head) = head else {
            return Ok(missing());
        };
        if let Some(fault) = head_fault(&head, row, index) {
            return Ok(Some(fault));
        }
        let Some(last) = index.fragments.last() else {
            return Ok(None);
        };
        let range = last.offset..last.offset + u64::from(last.header_len);
        let Some(header) = self.part(&key, range).await? else {
            return Ok(missing());
        };
        Ok(match parse_fragment(&header) {
            Err(error) => index_fault(format!(
                "the last fragment is not where it should be: {error}"
            )),
            Ok(samples) if samples.first().map(|sample| sample.dts) != Some(last.dts) => {
                index_fault("the last fragment begins at another time than the index says".into())
            }
            Ok(_) => None,
        })
    }

    /// Every byte.
    async fn read_whole(&self, row: &SegmentRow, index: &SegmentIndex) -> Result<Fault, Error> {
        let key = key_of(&row.segment);
        let Some(data) = self.whole(&key, index.len_bytes()).await? else {
            return Ok(missing());
        };
        if let Some(fault) = head_fault(&data, row, index) {
            return Ok(Some(fault));
        }
        if let Some(seal) = row.seal
            && seal.digest != digest_of(&data)
        {
            let what = "its bytes are not those that were written".to_owned();
            return Ok(Some((FindingKind::Digest, what)));
        }
        let scanned = match scan_segment(&data) {
            Ok(scanned) => scanned,
            Err(error) => return Ok(Some((FindingKind::Damaged, error.to_string()))),
        };
        if scanned.index.fragments == index.fragments {
            return Ok(None);
        }
        let same = scanned.index.fragments.iter().zip(&index.fragments);
        let same = same.take_while(|(a, b)| a == b).count();
        let what = format!(
            "from its fragment {} on, the object is not what the index says",
            same + 1
        );
        Ok(index_fault(what))
    }
}

fn head_fault(head: &[u8], row: &SegmentRow, index: &SegmentIndex) -> Fault {
    let (parameters, identity) = match parse_init(head) {
        Ok(read) => read,
        Err(error) => return Some((FindingKind::Damaged, error.to_string())),
    };
    if let Some(what) = foreign_head(identity, row) {
        return index_fault(what);
    }
    if index.parameters != 0 && index.parameters != fingerprint(&parameters) {
        return index_fault("its tracks are not those that the index says".into());
    }
    if parameters.codecs() != row.segment.codecs {
        return index_fault(format!(
            "its codecs are {}, the row says {}",
            parameters.codecs(),
            row.segment.codecs
        ));
    }
    None
}

fn index_fault(what: String) -> Fault {
    Some((FindingKind::Index, what))
}

fn missing() -> Fault {
    Some((
        FindingKind::MissingObject,
        "its object went away while it was read".to_owned(),
    ))
}

fn finding(row: &SegmentRow, (kind, what): (FindingKind, String)) -> Finding {
    Finding {
        kind,
        channel: row.segment.channel,
        segment: Some(row.segment.id),
        start: Some(row.segment.range.start),
        what,
        repair: None,
    }
}

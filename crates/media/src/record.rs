//! What the decoder configuration records of H.264 and H.265 have in common: NAL units behind 16-bit
//! lengths.

use crate::ParameterError;
use bytes::{BufMut, Bytes, BytesMut};

/// Most NAL units of one array: there are 256 PPS in H.264, fewer of anything in H.265.
const MAX_NALS: usize = 256;

/// Writes NAL units behind their lengths.
pub(crate) fn put_nals(out: &mut BytesMut, nals: &[Bytes]) -> Result<(), ParameterError> {
    for nal in nals {
        let length = u16::try_from(nal.len())
            .map_err(|_| ParameterError::new("parameter sets", "longer than 65535 bytes"))?;
        out.put_u16(length);
        out.put_slice(nal);
    }
    Ok(())
}

/// Walks the bytes of a configuration record.
#[derive(Debug)]
pub(crate) struct RecordReader<'a> {
    what: &'static str,
    record: &'a Bytes,
    at: usize,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(what: &'static str, record: &'a Bytes) -> Self {
        Self {
            what,
            record,
            at: 0,
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, ParameterError> {
        let end = self.at.saturating_add(count);
        if end > self.record.len() {
            return Err(ParameterError::new(self.what, "cut off"));
        }
        let taken = self.record.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ParameterError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParameterError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// NAL units behind 16-bit lengths; more than one array of a real record has are refused.
    pub(crate) fn nals(&mut self, count: usize) -> Result<Vec<Bytes>, ParameterError> {
        if count > MAX_NALS {
            return Err(ParameterError::new(self.what, "too many NAL units"));
        }
        (0..count)
            .map(|_| {
                let length = self.u16()?;
                self.take(usize::from(length))
            })
            .collect()
    }
}

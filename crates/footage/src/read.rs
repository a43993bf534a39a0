//! Reading GOPs that were found.

use crate::gop::{self, CompressedGop, GopSample};
use crate::gop_ref::FragmentRef;
use crate::units;
use crate::{Error, Footage, GopRef, Place};
use bytes::Bytes;
use framewell_fmp4::FragmentEntry;
use framewell_media::{AccessUnit, StreamParameters};
use framewell_model::WallTime;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read in the hope that the key frame lies within: one read then does, where each costs a
/// round trip to the store. A key frame of 1080p at 4 Mbit/s has 100 to 200 KB.
const KEY_GUESS: u32 = 256 << 10;

impl Footage {
    /// Reads a whole GOP: its pictures, then, if those are needed for pictures on screen within
    /// [`GopRef::range`], the next one's key frame and leading pictures.
    pub async fn read_gop(&self, gop: &GopRef) -> Result<CompressedGop, Error> {
        self.read_gop_until(gop, gop.range.end).await
    }

    /// Reads the beginning of a GOP, up to all pictures captured at or before `at`. Only the fragments
    /// needed are read.
    pub async fn read_gop_until(&self, gop: &GopRef, at: WallTime) -> Result<CompressedGop, Error> {
        let parameters = self.gop_parameters(gop).await?;
        let count = gop.fragments_until(at);
        let own = count.min(gop.own_fragment_count());
        let mut samples = self.read_fragments(gop, 0..own).await?;
        gop::cut_after(&mut samples, at);
        let own_samples = samples.len();
        samples.extend(self.read_fragments(gop, own..count).await?);
        gop::cut_after(&mut samples, at);
        Ok(CompressedGop {
            run: gop.key.run,
            video: Arc::new(parameters.video.clone()),
            own: own_samples.min(samples.len()),
            samples,
            clock: gop.clock,
        })
    }

    /// Reads the key frame alone, usually with one ranged read.
    pub async fn read_key(&self, gop: &GopRef) -> Result<CompressedGop, Error> {
        let fragment = &gop.fragments()[0];
        let (parameters, bytes) = self.read_head(fragment).await?;
        let entry = fragment.entry();
        let damaged = |source| damaged(fragment, source);
        let (header_len, len) = (entry.header_len.min(entry.len), u64::from(entry.len));
        let header = bytes.get(..header_len as usize).unwrap_or(&bytes);
        let all = framewell_fmp4::parse_fragment(header).map_err(damaged)?;
        let key = gop::key_of(entry, &all).map_err(damaged)?;
        let end = u64::from(key.offset) + u64::from(key.size);
        let bytes = if (bytes.len() as u64) < end.min(len) {
            let range = entry.offset..entry.offset + end.min(len);
            self.read(&fragment.piece, range).await?
        } else {
            bytes
        };
        let sample = gop::sample_of(entry, &key, &bytes).map_err(damaged)?;
        Ok(CompressedGop {
            run: gop.key.run,
            video: Arc::new(parameters.video.clone()),
            samples: vec![sample],
            own: 1,
            clock: gop.clock,
        })
    }

    /// What a decoder needs before the GOP.
    pub async fn gop_parameters(&self, gop: &GopRef) -> Result<Arc<StreamParameters>, Error> {
        self.parameters(&gop.fragments()[0].piece).await
    }

    /// Reads the samples of some fragments, see [`GopRef::fragment_count`]. The one of the next GOP
    /// gives nothing if that one has other parameters: then it refers to nothing before it.
    pub async fn read_fragments(
        &self,
        gop: &GopRef,
        fragments: Range<usize>,
    ) -> Result<Vec<GopSample>, Error> {
        let mut samples = Vec::new();
        for adjacent in self.adjacent(gop, fragments).await? {
            let (entries, bytes) = self.read_adjacent(adjacent).await?;
            gop::read_part(&entries, &bytes, &mut samples)
                .map_err(|source| damaged(&adjacent[0], source))?;
        }
        Ok(samples)
    }

    /// Reads the units of all tracks of some fragments, video and audio mixed in the order of their
    /// decoding times. Otherwise as [`Footage::read_fragments`]; nothing of the payload is copied.
    pub async fn read_units(
        &self,
        gop: &GopRef,
        fragments: Range<usize>,
    ) -> Result<Vec<AccessUnit>, Error> {
        let parameters = self.gop_parameters(gop).await?;
        let mut units = Vec::new();
        for adjacent in self.adjacent(gop, fragments).await? {
            let (entries, bytes) = self.read_adjacent(adjacent).await?;
            units::read_part(&entries, &bytes, &parameters, &mut units)
                .map_err(|source| damaged(&adjacent[0], source))?;
        }
        Ok(units)
    }

    /// The fragments that each read can take, without those of a stream with other parameters.
    async fn adjacent<'a>(
        &self,
        gop: &'a GopRef,
        fragments: Range<usize>,
    ) -> Result<Vec<&'a [FragmentRef]>, Error> {
        let all = gop.fragments();
        let end = fragments.end.min(all.len());
        let mut parts = Vec::new();
        let mut next = fragments.start;
        while next < end {
            let first = next;
            next += 1;
            while next < end && all[next - 1].is_followed_by(&all[next]) {
                next += 1;
            }
            let is_same_stream = all[first].piece.id == all[0].piece.id
                || self.parameters(&all[first].piece).await? == self.gop_parameters(gop).await?;
            if is_same_stream {
                parts.push(&all[first..next]);
            }
        }
        Ok(parts)
    }

    /// Reads fragments that lie one behind the other; at least one.
    async fn read_adjacent(
        &self,
        fragments: &[FragmentRef],
    ) -> Result<(Vec<FragmentEntry>, Bytes), Error> {
        let entries: Vec<FragmentEntry> = fragments.iter().map(|f| *f.entry()).collect();
        let start = entries.first().map_or(0, |entry| entry.offset);
        let end = entries
            .last()
            .map_or(start, |entry| entry.offset + u64::from(entry.len));
        let bytes = self.read(&fragments[0].piece, start..end).await?;
        Ok((entries, bytes))
    }

    /// The beginning of a fragment and the parameters of its segment; both in one read if the init
    /// part lies right before it and is not known yet.
    async fn read_head(
        &self,
        fragment: &FragmentRef,
    ) -> Result<(Arc<StreamParameters>, Bytes), Error> {
        let (piece, entry) = (&fragment.piece, fragment.entry());
        let head = entry.header_len.saturating_add(KEY_GUESS).min(entry.len);
        let end = entry.offset + u64::from(head);
        if !fragment.is_first() || self.knows_parameters(piece.id) {
            let bytes = self.read(piece, entry.offset..end).await?;
            return Ok((self.parameters(piece).await?, bytes));
        }
        let bytes = self.read(piece, 0..end).await?;
        let init_len = (piece.index.init_len as usize).min(bytes.len());
        let parameters = self.learn_parameters(piece, &bytes[..init_len])?;
        let start = usize::try_from(entry.offset).unwrap_or(usize::MAX);
        Ok((parameters, bytes.slice(start.min(bytes.len())..)))
    }
}

fn damaged(fragment: &FragmentRef, source: framewell_fmp4::Error) -> Error {
    Error::Damaged {
        place: Place::from(&*fragment.piece),
        source,
    }
}

//! Writing boxes (ISO/IEC 14496-12 section 4.2).

use bytes::Bytes;

/// Boxes in the making: sizes are filled in when a box is closed.
#[derive(Debug, Default)]
pub(crate) struct BoxWriter {
    out: Vec<u8>,
    /// Bytes that somebody else puts into the file: before which of ours, and how many.
    holes: Vec<(usize, u64)>,
    hole_bytes: u64,
}

/// A part of a file that was written with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Bytes(Bytes),
    /// So many bytes of somebody else.
    Hole(u64),
}

impl BoxWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Leaves out bytes that somebody else puts there; boxes around them are as long as with them.
    pub(crate) fn hole(&mut self, bytes: u64) {
        self.holes.push((self.out.len(), bytes));
        self.hole_bytes += bytes;
    }

    /// How long the file is so far, with its holes.
    pub(crate) fn file_len(&self) -> u64 {
        self.out.len() as u64 + self.hole_bytes
    }

    /// What was written around the holes.
    pub(crate) fn into_parts(self) -> Vec<Written> {
        let (mut out, mut parts, mut from) = (Bytes::from(self.out), Vec::new(), 0);
        for (at, bytes) in self.holes {
            parts.push(Written::Bytes(out.split_to(at - from)));
            parts.push(Written::Hole(bytes));
            from = at;
        }
        parts.push(Written::Bytes(out));
        parts
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.out.into()
    }

    /// A box with the content that `fill` writes.
    pub(crate) fn boxed(&mut self, name: &[u8; 4], fill: impl FnOnce(&mut Self)) {
        let (start, begin) = (self.out.len(), self.file_len());
        self.u32(0);
        self.raw(name);
        fill(self);
        let length = usize::try_from(self.file_len() - begin).unwrap_or(usize::MAX);
        self.put_u32_at(start, length_u32(length));
    }

    /// A full box: version and flags, then what `fill` writes.
    pub(crate) fn full_box(
        &mut self,
        name: &[u8; 4],
        version: u8,
        flags: u32,
        fill: impl FnOnce(&mut Self),
    ) {
        self.boxed(name, |w| {
            w.u32(u32::from(version) << 24 | flags);
            fill(w);
        });
    }

    /// A `uuid` box (section 4.2.2).
    pub(crate) fn uuid_box(&mut self, kind: &[u8; 16], fill: impl FnOnce(&mut Self)) {
        self.boxed(b"uuid", |w| {
            w.raw(kind);
            fill(w);
        });
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn put_u32_at(&mut self, at: usize, value: u32) {
        self.out[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn put_u64_at(&mut self, at: usize, value: u64) {
        self.out[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
}

/// A `uuid` box (ISO/IEC 14496-12 section 4.2.2) with this user type and content, which players pass
/// over.
#[must_use]
pub fn build_user_box(kind: &[u8; 16], body: &[u8]) -> Bytes {
    let mut w = BoxWriter::with_capacity(24 + body.len());
    w.uuid_box(kind, |w| w.raw(body));
    w.into_bytes()
}

/// A length that the callers keep within 32 bits: headers, sample tables of limited count, and
/// fragments of a GOP.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("headers, tables and fragments stay far below 4 GiB")
}

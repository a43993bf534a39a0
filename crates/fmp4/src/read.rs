//! Reading boxes (ISO/IEC 14496-12 section 4.2). Every length is checked against what is there.

use crate::Error;

/// A box: name, content, and where the content lies in the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoxRef<'a> {
    pub(crate) name: [u8; 4],
    pub(crate) body: Reader<'a>,
    /// First byte of the box in the input.
    pub(crate) start: usize,
}

impl BoxRef<'_> {
    /// First byte after the box.
    pub(crate) fn end(&self) -> usize {
        self.body.offset + self.body.data.len()
    }
}

/// The unread rest of a box or file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// The box being read, for errors.
    name: [u8; 4],
    data: &'a [u8],
    /// Place of `data` in the input.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A reader of a whole input.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self {
            name: *b"file",
            data,
            offset: 0,
        }
    }

    pub(crate) fn bad(&self, why: impl Into<String>) -> Error {
        Error::BadBox {
            what: self.name.escape_ascii().to_string(),
            offset: self.offset as u64,
            why: why.into(),
        }
    }

    /// Place of the next byte in the input.
    pub(crate) const fn position(&self) -> usize {
        self.offset
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.data
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.data.split_at_checked(count) else {
            return Err(self.bad("cut off"));
        };
        self.data = rest;
        self.offset += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives N bytes"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Version and flags of a full box.
    pub(crate) fn version_and_flags(&mut self) -> Result<(u8, u32), Error> {
        let word = self.u32()?;
        Ok((word.to_be_bytes()[0], word & 0x00ff_ffff))
    }

    /// Name, length of the header and length of the whole box at the read position; the box may
    /// reach past the data.
    pub(crate) fn peek_header(&self) -> Result<([u8; 4], usize, u64), Error> {
        let mut ahead = *self;
        let short_len = ahead.u32()?;
        let name = ahead.array()?;
        let (header, len) = match short_len {
            1 => (16, ahead.u64()?),
            len => (8, u64::from(len)),
        };
        if len < header as u64 {
            return Err(self.bad("a box shorter than its header"));
        }
        Ok((name, header, len))
    }

    /// The next box, whole.
    pub(crate) fn next_box(&mut self) -> Result<BoxRef<'a>, Error> {
        let start = self.offset;
        let (name, header, len) = self.peek_header()?;
        let len = usize::try_from(len).map_err(|_| self.bad("a box larger than memory"))?;
        if len > self.data.len() {
            return Err(self.bad(format!("{} box is cut off", name.escape_ascii())));
        }
        self.take(header)?;
        let offset = self.offset;
        let data = self.take(len - header)?;
        let body = Reader { name, data, offset };
        Ok(BoxRef { name, body, start })
    }

    /// The first child box of this name.
    pub(crate) fn find(&self, name: &[u8; 4]) -> Result<Reader<'a>, Error> {
        self.find_opt(name)?
            .ok_or_else(|| self.bad(format!("has no {} box", name.escape_ascii())))
    }

    /// The first child box of this name, if there is one.
    pub(crate) fn find_opt(&self, name: &[u8; 4]) -> Result<Option<Reader<'a>>, Error> {
        let mut rest = *self;
        while !rest.is_empty() {
            let child = rest.next_box()?;
            if child.name == *name {
                return Ok(Some(child.body));
            }
        }
        Ok(None)
    }
}

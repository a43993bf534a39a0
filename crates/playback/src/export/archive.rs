//! Archives whose length is known before their content: tar, and zip without compression.

use bytes::Bytes;
use framewell_model::WallTime;

/// Which archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Zip with 64-bit sizes (APPNOTE 6.3.10), files stored as they are.
    Zip,
    /// Tar in the form of GNU.
    Tar,
}

/// Bytes of a block of tar.
const BLOCK: u64 = 512;
/// Bytes of what precedes a file in zip, without its name: header (section 4.3.7) and sizes (4.5.3).
const ZIP_HEAD_LEN: u64 = 30 + ZIP_SIZES_LEN;
/// Bytes of the sizes before a file.
const ZIP_SIZES_LEN: u64 = 4 + 16;
/// Bytes of the data descriptor (section 4.3.9.2) behind a file.
const ZIP_DESCRIPTOR_LEN: u64 = 24;
/// Bytes of an entry of the central directory (section 4.3.12) without its name, sizes and offset included.
const ZIP_ENTRY_LEN: u64 = 46 + 4 + 24;
/// Bytes of what ends the archive: sections 4.3.14, 4.3.15 and 4.3.16.
const ZIP_END_LEN: u64 = 56 + 20 + 22;
/// Version 4.5: 64-bit sizes.
const ZIP_VERSION: u16 = 45;
/// Bit 3: the checksum follows the data. Bit 11: names are UTF-8.
const ZIP_FLAGS: u16 = 1 << 3 | 1 << 11;
/// Tag of the 64-bit sizes.
const ZIP64: u16 = 1;

/// A file of the archive.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    size: u64,
    /// Place of its header.
    offset: u64,
    crc: u32,
}

/// Writes what surrounds the files of an archive.
#[derive(Debug)]
pub(super) struct Archive {
    container: Container,
    /// Of all files.
    modified: WallTime,
    members: Vec<Member>,
    /// Bytes so far, the files among them.
    at: u64,
}

/// Length of the archive with these files.
pub(super) fn archive_len<'a>(
    container: Container,
    files: impl Iterator<Item = (&'a str, u64)>,
) -> u64 {
    let of_file = |(name, size): (&str, u64)| match container {
        Container::Zip => {
            ZIP_HEAD_LEN + ZIP_DESCRIPTOR_LEN + ZIP_ENTRY_LEN + 2 * name.len() as u64 + size
        }
        Container::Tar => BLOCK + size.next_multiple_of(BLOCK),
    };
    let end = match container {
        Container::Zip => ZIP_END_LEN,
        Container::Tar => 2 * BLOCK,
    };
    files.map(of_file).sum::<u64>() + end
}

impl Archive {
    pub(super) const fn new(container: Container, modified: WallTime) -> Self {
        Self {
            container,
            modified,
            members: Vec::new(),
            at: 0,
        }
    }

    /// What precedes a file.
    pub(super) fn begin(&mut self, name: &str, size: u64) -> Bytes {
        let head = match self.container {
            Container::Zip => self.zip_head(name, size),
            Container::Tar => self.tar_head(name, size),
        };
        self.members.push(Member {
            name: name.to_owned(),
            size,
            offset: self.at,
            crc: 0,
        });
        self.at += head.len() as u64 + size;
        head
    }

    /// What follows the file that was begun last, whose bytes have this checksum.
    pub(super) fn end(&mut self, crc: u32) -> Bytes {
        let Some(member) = self.members.last_mut() else {
            return Bytes::new();
        };
        member.crc = crc;
        let size = member.size;
        let tail: Bytes = match self.container {
            Container::Zip => {
                let mut out = Vec::new();
                out.extend(0x0807_4b50_u32.to_le_bytes());
                out.extend(crc.to_le_bytes());
                out.extend(size.to_le_bytes());
                out.extend(size.to_le_bytes());
                out.into()
            }
            Container::Tar => {
                let padding = size.next_multiple_of(BLOCK) - size;
                vec![0; usize::try_from(padding).expect("less than a block")].into()
            }
        };
        self.at += tail.len() as u64;
        tail
    }

    /// What ends the archive.
    pub(super) fn finish(&self) -> Bytes {
        match self.container {
            Container::Zip => self.zip_end(),
            Container::Tar => vec![0; 1024].into(),
        }
    }

    fn tar_head(&self, name: &str, size: u64) -> Bytes {
        let mut header = tar::Header::new_gnu();
        header
            .set_path(name)
            .expect("names of exports are short and relative");
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(self.modified.secs()).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        Bytes::copy_from_slice(header.as_bytes())
    }

    fn zip_head(&self, name: &str, size: u64) -> Bytes {
        let mut out = Vec::new();
        out.extend(0x0403_4b50_u32.to_le_bytes());
        self.put_common(&mut out, 0, name, ZIP_SIZES_LEN);
        out.extend(name.as_bytes());
        put_sizes(&mut out, ZIP_SIZES_LEN, size);
        out.into()
    }

    /// The fields that both headers of a file have: version up to the length of further fields.
    fn put_common(&self, out: &mut Vec<u8>, crc: u32, name: &str, further: u64) {
        let (date, time) = dos_time(self.modified);
        for field in [ZIP_VERSION, ZIP_FLAGS, 0, time, date] {
            out.extend(field.to_le_bytes());
        }
        out.extend(crc.to_le_bytes());
        // The sizes are among the further fields.
        out.extend([0xff; 8]);
        let len = |bytes: u64| u16::try_from(bytes).expect("names and fields are short");
        out.extend(len(name.len() as u64).to_le_bytes());
        out.extend(len(further).to_le_bytes());
    }

    fn zip_end(&self) -> Bytes {
        let mut out = Vec::new();
        for member in &self.members {
            self.put_entry(&mut out, member);
        }
        let directory_len = out.len() as u64;
        let count = self.members.len() as u64;
        let end_at = self.at + directory_len;
        out.extend(0x0606_4b50_u32.to_le_bytes());
        out.extend(44_u64.to_le_bytes());
        out.extend(ZIP_VERSION.to_le_bytes());
        out.extend(ZIP_VERSION.to_le_bytes());
        out.extend([0; 8]); // numbers of disks
        for field in [count, count, directory_len, self.at] {
            out.extend(field.to_le_bytes());
        }
        out.extend(0x0706_4b50_u32.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(end_at.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(0x0605_4b50_u32.to_le_bytes());
        out.extend([0; 4]); // numbers of disks
        out.extend([0xff; 12]); // see the record above
        out.extend([0; 2]); // no comment
        out.into()
    }

    fn put_entry(&self, out: &mut Vec<u8>, member: &Member) {
        const FURTHER: u64 = ZIP_SIZES_LEN + 8;
        const UNIX: u16 = 3 << 8;
        const REGULAR_644: u32 = 0o100_644 << 16;
        out.extend(0x0201_4b50_u32.to_le_bytes());
        out.extend((UNIX | ZIP_VERSION).to_le_bytes());
        self.put_common(out, member.crc, &member.name, FURTHER);
        out.extend([0; 6]); // no comment, disk 0, no internal attributes
        out.extend(REGULAR_644.to_le_bytes());
        out.extend([0xff; 4]); // the offset is among the further fields
        out.extend(member.name.as_bytes());
        put_sizes(out, FURTHER, member.size);
        out.extend(member.offset.to_le_bytes());
    }
}

/// Both sizes of a file that is stored as it is; `len` is that of the whole field.
fn put_sizes(out: &mut Vec<u8>, len: u64, size: u64) {
    out.extend(ZIP64.to_le_bytes());
    let len = u16::try_from(len - 4).expect("three numbers at most");
    out.extend(len.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(size.to_le_bytes());
}

/// Date and time as MS-DOS wrote them, in UTC; from 1980 on.
fn dos_time(at: WallTime) -> (u16, u16) {
    let text = at.to_rfc3339();
    let number = |from: usize, len: usize| -> u16 {
        let digits = text.get(from..from + len);
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let year = number(0, 4).clamp(1980, 2107) - 1980;
    let date = year << 9 | number(5, 2).clamp(1, 12) << 5 | number(8, 2).clamp(1, 31);
    let time = number(11, 2) << 11 | number(14, 2) << 5 | (number(17, 2) / 2);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_known_before_the_content() {
        let files = [("a.mp4", 513_u64), ("b", 0), ("manifest.json", 77)];
        for container in [Container::Zip, Container::Tar] {
            let mut archive = Archive::new(container, WallTime::from_secs(1_700_000_000));
            let mut len = 0;
            for (name, size) in files {
                len += archive.begin(name, size).len() as u64 + size;
                len += archive.end(7).len() as u64;
            }
            len += archive.finish().len() as u64;
            assert_eq!(
                len,
                archive_len(container, files.into_iter()),
                "{container:?}"
            );
        }
    }

    #[test]
    fn times_are_as_dos_wrote_them() {
        let at: WallTime = "2024-05-01T10:20:31Z".parse().unwrap();
        assert_eq!(
            dos_time(at),
            (44 << 9 | 5 << 5 | 1, 10 << 11 | 20 << 5 | 15)
        );
        assert_eq!(dos_time(WallTime::from_secs(0)).0 >> 9, 0);
    }
}

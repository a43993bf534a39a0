//! Clips of several cameras in one archive, made while it is sent.
//!
//! Nothing is written anywhere: an archive is a list of files whose lengths are known, each read as the
//! client takes it. Checksums and hashes are taken on the way, so the manifest comes last.

mod archive;
mod manifest;

pub use archive::Container;
pub use manifest::{
    ExportError, ExportManifest, ExportedCamera, ExportedFile, ExportedGap, MANIFEST_NAME,
};

use crate::{ByteStream, Clip, ClipError, ClipOptions, Playback};
use archive::{Archive, archive_len};
use bytes::Bytes;
use framewell_footage::Error;
use framewell_model::{ChannelId, ErrorKind, HasKind, Holder, TimeRange, WallTime};
use futures::StreamExt;
use futures::stream;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Clips that are opened side by side.
const OPEN_AT_ONCE: usize = 4;

/// What an export is to hold.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// Who is to have it; `None` for a job.
    pub holder: Option<Holder>,
    /// Number and name of each camera, in the order of the files.
    pub cameras: Vec<(ChannelId, String)>,
    /// What of each.
    pub range: TimeRange,
    /// How the clips are made.
    pub options: ClipOptions,
    /// Which archive.
    pub container: Container,
    /// The present.
    pub now: WallTime,
}

/// An export that is ready to be sent.
#[derive(Debug)]
pub struct Export {
    /// Bytes of the whole archive.
    pub len: u64,
    /// What it says about itself, with hashes of zeros.
    pub manifest: ExportManifest,
    archive: Archive,
    clips: VecDeque<Clip>,
}

impl Playback {
    /// Opens the clips of an export. A camera without footage, or whose footage is lost, is an entry of the
    /// manifest.
    ///
    /// # Errors
    /// Whatever else keeps a clip from being made; [`ClipError::Empty`] if no camera has footage.
    pub async fn export(&self, request: &ExportRequest) -> Result<Export, ClipError> {
        let ExportRequest {
            holder,
            range,
            options,
            ..
        } = *request;
        let channels: Vec<ChannelId> = request.cameras.iter().map(|(id, _)| *id).collect();
        let opened: Vec<_> = stream::iter(channels)
            .map(|channel| self.clip_with(holder, channel, range, options))
            .buffered(OPEN_AT_ONCE)
            .collect()
            .await;
        let mut manifest = ExportManifest::new(range, options.holes, request.now);
        let mut clips = VecDeque::new();
        let mut last_error = None;
        for ((channel, name), opened) in request.cameras.iter().zip(opened) {
            let entry = ExportedCamera::new(*channel, name.clone(), opened.as_ref());
            manifest.cameras.push(entry);
            match opened {
                Ok(clip) => clips.push_back(clip),
                Err(error) if is_told(&error, options) => last_error = Some(error),
                Err(error) => return Err(error),
            }
        }
        match last_error {
            Some(error) if clips.is_empty() => Err(error),
            _ => Ok(Export::new(manifest, clips, request)),
        }
    }
}

/// Whether the manifest tells of an error, which is none of the whole then.
fn is_told(error: &ClipError, options: ClipOptions) -> bool {
    match error.kind() {
        ErrorKind::NotFound => true,
        ErrorKind::DataLoss => !options.is_strict,
        _ => false,
    }
}

impl Export {
    fn new(manifest: ExportManifest, clips: VecDeque<Clip>, request: &ExportRequest) -> Self {
        let files = manifest.cameras.iter().filter_map(|c| c.file.as_ref());
        let files = files.map(|file| (file.name.as_str(), file.size));
        let last = (MANIFEST_NAME, manifest.text().len() as u64);
        Self {
            len: archive_len(request.container, files.chain([last])),
            archive: Archive::new(request.container, request.range.start),
            manifest,
            clips,
        }
    }

    /// The archive, read as the client takes it. An error ends it: what was sent of it by then is right.
    #[must_use]
    pub fn stream(self) -> ByteStream {
        let sending = Sending {
            files: (0..self.manifest.cameras.len())
                .filter(|camera| self.manifest.cameras[*camera].file.is_some())
                .collect(),
            export: self,
            open: None,
            is_over: false,
        };
        let next = |mut sending: Sending| async move {
            match sending.next().await {
                Ok(bytes) => bytes.map(|bytes| (Ok(bytes), sending)),
                Err(error) => {
                    sending.is_over = true;
                    Some((Err(error), sending))
                }
            }
        };
        stream::unfold(sending, next).boxed()
    }
}

/// An export on its way.
struct Sending {
    export: Export,
    /// Cameras whose files are yet to be sent.
    files: VecDeque<usize>,
    open: Option<OpenFile>,
    is_over: bool,
}

/// The file that is being sent.
struct OpenFile {
    camera: usize,
    body: ByteStream,
    crc: crc32fast::Hasher,
    sha256: Sha256,
}

impl Sending {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(open) = &mut self.open
            && let Some(bytes) = open.body.next().await.transpose()?
        {
            open.crc.update(&bytes);
            open.sha256.update(&bytes);
            return Ok(Some(bytes));
        }
        if let Some(open) = self.open.take() {
            self.note(open.camera, &open.sha256.finalize());
            return Ok(Some(self.export.archive.end(open.crc.finalize())));
        }
        if let Some(camera) = self.files.pop_front() {
            return Ok(Some(self.begin(camera)));
        }
        if self.is_over {
            return Ok(None);
        }
        self.is_over = true;
        Ok(Some(self.last()))
    }

    /// What precedes the file of a camera.
    fn begin(&mut self, camera: usize) -> Bytes {
        let file = self.export.manifest.cameras[camera].file.as_ref();
        let (Some(file), Some(clip)) = (file, self.export.clips.pop_front()) else {
            return Bytes::new();
        };
        self.open = Some(OpenFile {
            camera,
            body: clip.stream(0..clip.len),
            crc: crc32fast::Hasher::new(),
            sha256: Sha256::new(),
        });
        self.export.archive.begin(&file.name, file.size)
    }

    fn note(&mut self, camera: usize, hash: &[u8]) {
        if let Some(file) = &mut self.export.manifest.cameras[camera].file {
            file.sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        }
    }

    /// The manifest, and the end of the archive.
    fn last(&mut self) -> Bytes {
        let text = self.export.manifest.text();
        let archive = &mut self.export.archive;
        let head = archive.begin(MANIFEST_NAME, text.len() as u64);
        let tail = archive.end(crc32fast::hash(&text));
        [head, text.into(), tail, archive.finish()].concat().into()
    }
}

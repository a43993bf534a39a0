//! Rendered clips: decoded, drawn on, and encoded anew in the decoder processes.
//!
//! A clip is cut into jobs that stand for themselves (`cut`): a piece of a group of pictures, which begins
//! with a key frame of its own in the result. A few of them are under way at once, at most half as many
//! as there are workers, as batch jobs behind every single picture. What comes back goes into a file in
//! the working folder, in order (`file`), which then becomes the object: an MP4 file has its index in front.

mod cut;
mod file;
mod gop;
mod options;
mod overlay;
mod run;
mod timeline;

pub use options::RenderOptions;
pub(crate) use run::store;

use framewell_decode::Pool;
use std::path::PathBuf;

/// What renders.
#[derive(Debug, Clone)]
pub struct Renderer {
    pool: Pool,
    /// Where unfinished files lie.
    dir: PathBuf,
}

impl Renderer {
    /// With the workers of a pool; `dir` is this server's own and is emptied now.
    pub fn new(pool: Pool, dir: PathBuf) -> std::io::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        Ok(Self { pool, dir })
    }

    /// Jobs of one clip that are under way at once.
    fn parallel(&self) -> usize {
        (self.pool.workers().len() / 2).max(1)
    }

    /// Whether the workers can encode; `None` if none of them starts.
    pub(crate) async fn can_encode(&self) -> Option<bool> {
        let greeting = self.pool.greeting().await.ok()?;
        Some(greeting.has_encoder)
    }
}

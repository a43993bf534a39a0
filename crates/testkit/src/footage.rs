//! Real footage, if the machine has any.

use std::path::{Path, PathBuf};

/// Where `cargo xtask test` says that footage is.
const FOLDER_VARIABLE: &str = "FRAMEWELL_TEST_MEDIA";

/// The MP4 files of the folder named by `FRAMEWELL_TEST_MEDIA`, else of `../shared/media` beside the
/// checkout; in order of their names, empty if there is no such folder.
#[must_use]
pub fn files() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let folder = named_folder().unwrap_or(beside);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "mp4"))
        .collect();
    files.sort();
    files
}

#[expect(
    clippy::disallowed_methods,
    reason = "test processes are told by their runner and have no configuration"
)]
fn named_folder() -> Option<PathBuf> {
    let folder = std::env::var(FOLDER_VARIABLE).ok()?;
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

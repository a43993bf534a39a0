//! The cameras of the demo: three synthetic scenes, or the footage that the user gives.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::fakecam::{self, Source};

/// Most files of a folder that are played; each is a camera that is recorded and looked at.
const MOST_FILES: usize = 10;

/// One for each way in which cameras commonly send video.
const SYNTHETIC: [(&str, &[&str]); 3] = [
    ("Synthetic, H.264", &["--codec", "h264"]),
    (
        "Synthetic, H.264 with B-frames",
        &["--codec", "h264", "--b-frames", "2"],
    ),
    ("Synthetic, H.265", &["--codec", "h265"]),
];

/// A camera that runs.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) name: String,
    pub(super) url: String,
}

/// All of them, with the processes behind.
#[derive(Debug)]
pub(super) struct Cameras {
    pub(super) list: Vec<Camera>,
    _processes: Vec<fakecam::Cameras>,
}

/// Starts them.
pub(super) fn start(
    binaries: &Path,
    folder: &Path,
    media: Option<&Path>,
) -> anyhow::Result<Cameras> {
    let sources = match media {
        Some(media) => files(media)?
            .into_iter()
            .map(|file| (name_of(&file), Source::File(file)))
            .collect(),
        None => SYNTHETIC
            .map(|(name, arguments)| (name.to_owned(), Source::Synthetic(arguments)))
            .to_vec(),
    };
    let mut cameras = Cameras {
        list: Vec::new(),
        _processes: Vec::new(),
    };
    for (name, source) in sources {
        let process = fakecam::start(binaries, folder, &source, 1)?;
        cameras.list.push(Camera {
            name,
            url: process.urls[0].clone(),
        });
        cameras._processes.push(process);
    }
    Ok(cameras)
}

fn files(media: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(media).with_context(|| format!("folder {}", media.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_mp4(path))
        .collect();
    anyhow::ensure!(!files.is_empty(), "no .mp4 file in {}", media.display());
    files.sort();
    files.truncate(MOST_FILES);
    Ok(files)
}

fn is_mp4(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"))
}

fn name_of(file: &Path) -> String {
    file.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_is_the_mp4_files_of_a_folder_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.mp4", "a.MP4", "README.md"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<String> = files(folder.path())
            .unwrap()
            .iter()
            .map(|file| name_of(file))
            .collect();
        assert_eq!(names, ["a", "b"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(
            files(empty.path())
                .unwrap_err()
                .to_string()
                .contains("no .mp4 file")
        );
    }
}

//! Real footage, where the folder with it exists.

use crate::common::{gops, in_form, job, pool};
use framewell_decode::Output;
use framewell_model::WallTime;
use framewell_testkit::encode::EncodedClip;
use std::path::{Path, PathBuf};

/// The files beside the checkout, or why there are none.
fn files() -> Result<Vec<PathBuf>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/media");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths
        .filter(|path| path.extension().is_some_and(|e| e == "mp4"))
        .collect())
}

#[tokio::test]
async fn all_pictures_of_a_gop_of_real_footage_decode() {
    let files = match files() {
        Ok(files) => files,
        Err(why) => return eprintln!("no real footage: {why}"),
    };
    let pool = pool();
    for path in files {
        let clip = EncodedClip::from_file(&path, WallTime::from_secs(0)).unwrap();
        let gops = gops(&clip);
        let gop = &gops[gops.len() / 2];
        let wanted: Vec<i64> = gop.iter().map(|unit| unit.pts.ticks).collect();
        let small = Output {
            width: Some(320),
            ..Output::jpeg(85)
        };
        let job = in_form(job(&clip, gop, &wanted), small);
        let pictures = pool.decode(job).await;
        let count = pictures.map(|pictures| pictures.len());
        assert_eq!(count.unwrap(), gop.len(), "{}", path.display());
    }
}

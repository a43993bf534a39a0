//! The installation's signing key: made once, kept beside the data, never shown.

use anyhow::{Context, bail};
use framewell_token::SigningKey;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "signing.key";
const LEN: usize = 32;

/// Loads the key of a data folder, or makes it at the first start (readable by the owner only).
/// Who loses this file loses every token: it belongs into the backup.
pub(crate) fn load_or_create(data_dir: &Path) -> anyhow::Result<SigningKey> {
    let path = data_dir.join(FILE);
    let bytes = match std::fs::File::open(&path) {
        Ok(mut file) => {
            let mut bytes = Vec::with_capacity(LEN);
            file.read_to_end(&mut bytes)
                .with_context(|| format!("reading {} failed", path.display()))?;
            bytes
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(data_dir, &path)?,
        Err(error) => {
            return Err(error).with_context(|| format!("opening {} failed", path.display()));
        }
    };
    match SigningKey::new(bytes) {
        Some(key) => Ok(key),
        None => bail!(
            "{} is damaged: it must hold at least {LEN} bytes",
            path.display()
        ),
    }
}

/// Writes a complete temporary file and links it into place, so that two processes that start
/// together end up with the same key and a crash leaves no half of one.
fn create(data_dir: &Path, path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes: [u8; LEN] = rand::random();
    let temporary = data_dir.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("creating {} failed", temporary.display()))?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .context("writing the signing key failed")?;
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary).context("removing the temporary signing key failed")?;
    match linked {
        Ok(()) => Ok(bytes.to_vec()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::read(path).with_context(|| format!("reading {} failed", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("creating {} failed", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        load_or_create(dir.path()).expect("made");
        let first = std::fs::read(dir.path().join(FILE)).expect("written");
        load_or_create(dir.path()).expect("loaded");
        assert_eq!(
            std::fs::read(dir.path().join(FILE)).expect("still there"),
            first
        );
        let mode = std::fs::metadata(dir.path().join(FILE))
            .expect("exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("listed").count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_cut_off_key_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join(FILE), b"short").expect("written");
        let error = load_or_create(dir.path()).expect_err("too short");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}

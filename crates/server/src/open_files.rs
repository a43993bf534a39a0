//! How many files and connections this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as allowed. The usual 1,024 is less than the connections that are served:
/// strangers who connect could keep recordings from opening their files.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "raising the limit of open files failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_highest_that_is_allowed() {
        let mut lower = getrlimit(Resource::Nofile);
        lower.current = lower.current.map(|current| current - 1);
        setrlimit(Resource::Nofile, lower).expect("lowered");
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}

//! The limit of open files, and how many connections fit under it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::wire::limits::DESCRIPTORS_RESERVED;

/// Raises the limit of open files as far as it goes; answers how many connections fit beside what the node needs itself.
pub(super) fn within_descriptors(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let open = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
    let Some(open) = open.and_then(|open| usize::try_from(open).ok()) else { return wanted };
    let fit = open.saturating_sub(DESCRIPTORS_RESERVED).max(open / 2);
    if wanted > fit {
        tracing::warn!(
            wanted,
            fit,
            "limits.connections is more than the limit of open files allows: taking what fits"
        );
    }
    wanted.min(fit)
}

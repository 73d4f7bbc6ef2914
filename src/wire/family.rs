//! What the store keeps of the tokens that this host issued: digests only.

use serde::{Deserialize, Serialize};

use super::{secret::Digest, time::Wall};

/// A failure, for people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureRecord {
    /// When.
    pub at: Wall,
    /// Why; holds no secret.
    pub reason: String,
}

/// One family of issued tokens, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FamilyRecord {
    /// To whom it was issued: `peer:beta.test`.
    pub subject: String,
    /// Unique per subject.
    pub id: u64,
    /// When it was opened.
    pub opened: Wall,
    /// Offered with a grant that has not been answered yet.
    pub offered: bool,
    /// When it is revoked or replaced, and why; may lie a little ahead.
    #[serde(default)]
    pub closed: Option<FailureRecord>,
    /// Closed for good: whatever the clock says, it does not open again.
    #[serde(default)]
    pub revoked: bool,
    /// Anybody could have caused it (`token::family::NewPair::unsure`).
    #[serde(default)]
    pub unsure: bool,
    /// The newest pair.
    pub current: PairRecord,
    /// The pair before it, while the newest has not been used.
    #[serde(default)]
    pub previous: Option<PairRecord>,
    /// Access tokens that are taken a little longer: what was under way at a first use.
    #[serde(default)]
    pub lingering: Vec<SpentRecord>,
    /// Spent refresh tokens, oldest first, at most 64.
    #[serde(default)]
    pub spent: Vec<SpentRecord>,
}

/// A pair of issued tokens: digests only. With R3 an access token alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PairRecord {
    /// Counts from 0 with each rotation.
    pub step: u32,
    /// Digest of the access token.
    pub access: Digest,
    /// When it runs out.
    pub access_until: Wall,
    /// The refresh token; none with R3.
    #[serde(flatten)]
    pub refresh: Option<RefreshRecord>,
    /// Whether either was ever used.
    pub used: bool,
}

/// An issued refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RefreshRecord {
    /// Its digest.
    #[serde(rename = "refresh")]
    pub digest: Digest,
    /// When it runs out.
    #[serde(rename = "refresh-until")]
    pub until: Wall,
}

/// A digest and how long it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpentRecord {
    /// Of the token.
    pub digest: Digest,
    /// How long.
    pub until: Wall,
}

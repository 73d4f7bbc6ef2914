//! What this host issues, to whomever: families of tokens, one rotation rule, admission by digest.
//!
//! Pure as `link`: `now` and fresh digests are arguments, every operation gives back the family as it becomes, and the
//! caller commits that before it uses the outcome. Peers are the first users; apps and people share the rule later.

pub mod families;
pub mod family;
pub(crate) mod fault;

//! stand-in
/// Address
#[derive(Clone, Debug)]
pub struct Address(String);
impl Address {
    /// parse
    /// # Errors
    /// no
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

//! An inbox as an app reads it: page by page, each acknowledged, each message there once.

use hyper::Method;

use super::local::Local;
use crate::{
    load::bodies::DIGITS,
    outcome::{Outcome, failed},
};

/// Where it is read.
pub(crate) const READ: &str = "/v1/inbox/example/form";
const ID: &str = "\"id\":\"m";
const CURSOR: &str = "\"cursor\":\"";

/// Which messages have come, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    words: Vec<u64>,
    count: u64,
}

impl Seen {
    /// Takes in one number.
    ///
    /// # Errors
    /// It came already.
    fn take(&mut self, number: u64) -> Outcome<()> {
        let (word, bit) = (usize::try_from(number / 64)?, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if self.words[word] & bit != 0 {
            return failed(format!("message {number} came twice"));
        }
        self.words[word] |= bit;
        self.count += 1;
        Ok(())
    }

    /// Takes in all that stand in a text.
    ///
    /// # Errors
    /// One came already.
    pub(super) fn take_all(&mut self, text: &str) -> Outcome<()> {
        for number in numbers(text) {
            self.take(number?)?;
        }
        Ok(())
    }

    /// How many have come.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether exactly the numbers below this one have come.
    ///
    /// # Errors
    /// One is lost, or one came that nobody sent.
    pub(crate) fn complete(&self, next: u64) -> Outcome<()> {
        let lost = (0..next).find(|number| {
            let word = usize::try_from(number / 64).ok().and_then(|word| self.words.get(word));
            word.is_none_or(|word| word & (1 << (number % 64)) == 0)
        });
        match lost {
            Some(number) => failed(format!("message {number} of {next} is lost")),
            None if self.count != next => failed(format!("{} messages of {next}", self.count)),
            None => Ok(()),
        }
    }
}

/// The numbers of the messages that stand in a text.
pub(crate) fn numbers(text: &str) -> impl Iterator<Item = Outcome<u64>> + '_ {
    text.match_indices(ID).map(|(at, _)| {
        let digits = text.get(at + ID.len()..at + ID.len() + DIGITS).unwrap_or_default();
        Ok(digits.parse()?)
    })
}

/// The cursor of the last message in a page or a stream.
pub(crate) fn last_cursor(text: &str) -> Option<&str> {
    let at = text.rfind(CURSOR)?;
    text[at + CURSOR.len()..].split('"').next()
}

/// Acknowledges all up to this message.
///
/// # Errors
/// The call fails.
pub(crate) async fn acknowledge(local: &mut Local, cursor: &str) -> Outcome<()> {
    let ack = format!("{{\"cursor\":\"{cursor}\"}}");
    local.call(Method::POST, &format!("{READ}/ack"), ack, 204).await?;
    Ok(())
}

/// Reads one page of at most `max` and acknowledges it: how many it held.
///
/// # Errors
/// A call fails, or a message came twice.
pub(crate) async fn page(local: &mut Local, seen: &mut Seen, max: u64, wait: &str) -> Outcome<u64> {
    let path = format!("{READ}?max={max}&wait={wait}");
    let body = local.call(Method::GET, &path, "", 200).await?;
    let text = str::from_utf8(&body)?;
    let before = seen.count();
    seen.take_all(text)?;
    if let Some(cursor) = last_cursor(text) {
        acknowledge(local, cursor).await?;
    }
    Ok(seen.count() - before)
}

/// Reads to the end.
///
/// # Errors
/// As `page`.
pub(crate) async fn rest(local: &mut Local, seen: &mut Seen) -> Outcome<()> {
    while page(local, seen, 10_000, "0s").await? > 0 {}
    Ok(())
}

/// Reads as an app does, pages of 1,000, until so many have come in all.
///
/// # Errors
/// As `page`; or nothing comes for 10 s.
pub(crate) async fn until(local: &mut Local, seen: &mut Seen, count: u64) -> Outcome<()> {
    while seen.count() < count {
        if page(local, seen, 1000, "10s").await? == 0 {
            return failed(format!("{} of {count} messages came, then none for 10 s", seen.count()));
        }
    }
    Ok(())
}

//! The rules of one link, each as a sentence. Source: `https-token`.

mod finding;
mod granted;
mod hostile;
mod refreshing;
mod resting;
mod sending;
mod state;
mod storing;

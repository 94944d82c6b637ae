//! The adapter against real sockets: a server on this machine that says, byte by byte, what a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod chats;
mod dialects;
mod embeddings;
mod failures;
mod keys;
mod served;

//! parkway

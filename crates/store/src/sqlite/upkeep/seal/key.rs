//! The key of one backup: a secret of X25519, in the words of `age`.

use bech32::Bech32;
use bech32::primitives::decode::CheckedHrpstring;
use parkway_core::store::StoreError;
use zeroize::Zeroizing;

use super::{BackupId, random};
use crate::sqlite::upkeep::copy::refused;

/// Before the digits of an identity of `age`.
const PREFIX: bech32::Hrp = bech32::Hrp::parse_unchecked("age-secret-key-");

/// Before the name of the store's log.
const LOG: &str = "# The name of the store's log: parkway/";

/// The key of one backup. Whoever has it can read the backup.
pub(super) struct Key(pub(super) Zeroizing<[u8; 32]>);

impl Key {
    /// A new one.
    pub(super) fn new() -> Result<Self, StoreError> {
        let mut secret = Zeroizing::new([0; 32]);
        random(&mut *secret)?;
        Ok(Key(secret))
    }

    /// The file of the key of a backup, which `age` reads as well. `log` is the name of the store's log, if it has one.
    pub(super) fn to_text(&self, of: BackupId, log: Option<&str>) -> Result<Zeroizing<String>, StoreError> {
        let identity = bech32::encode_upper::<Bech32>(PREFIX, &*self.0).map(Zeroizing::new);
        let identity = identity.map_err(|e| refused(format!("the key cannot be written: {e}")))?;
        let log = log.map(|log| format!("{LOG}{log}\n")).unwrap_or_default();
        Ok(Zeroizing::new(format!(
            "# The key of the backup {of} of a Parkway store, made {}.\n{log}\
             # Whoever has it can read the backup; without it nobody can.\n{}\n",
            of.at(),
            *identity
        )))
    }

    /// The name of the log of the store whose key such a file is, if it says that.
    pub(super) fn log_in(text: &str) -> Option<&str> {
        text.lines().find_map(|line| line.strip_prefix(LOG))
    }

    /// The key in such a file; none if there is anything else in it.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let checked = CheckedHrpstring::new::<Bech32>(line).ok().filter(|checked| checked.hrp() == PREFIX)?;
        let mut bytes = checked.byte_iter();
        let mut secret = Zeroizing::new([0; 32]);
        for byte in secret.iter_mut() {
            *byte = bytes.next()?;
        }
        bytes.next().is_none().then_some(Key(secret))
    }
}

#[cfg(test)]
mod tests {
    use parkway_core::id::Time;

    use super::*;

    #[test]
    fn age_does_not_read_the_key() {
        // An identity that `age-keygen` has made.
        let text = "# created: 2026-11-30T20:30:00Z\n# public key: age1\nAGE-SECRET-KEY-1XJXXV9RYYNE3T0JZ4H7ML4WM8FLJDKTHFCHQJANCHQQ4HHR65YZQKRSCXT\n";
        let key = Key::from_text(text).unwrap();
        let written = key.to_text(BackupId::new(Time::default()).unwrap(), Some("x")).unwrap();
        assert_eq!(written.lines().next_back(), text.lines().next_back());
    }

    #[test]
    fn a_mangled_key_is_taken() {
        let text = Key::new().unwrap().to_text(BackupId::new(Time::default()).unwrap(), Some("x")).unwrap();
        assert!(Key::from_text(&text).is_some());
        let line = text.lines().next_back().unwrap();
        let cut = &text[..text.len() - 5];
        let swapped = text.replace(line, &line.chars().rev().collect::<String>());
        let twice = format!("{}{line}", *text);
        for mangled in ["", cut, &swapped, &twice, &text.replace("KEY-1", "KEY-2"), "AGE-SECRET-KEY-1"] {
            assert!(Key::from_text(mangled).is_none(), "{mangled}");
        }
    }
}

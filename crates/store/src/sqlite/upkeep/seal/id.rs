//! The name of a backup, which says when it was made.

use std::fmt;
use std::str::FromStr;

use parkway_core::id::Time;
use parkway_core::store::StoreError;

use super::random;
use crate::sqlite::upkeep::copy::refused;

/// The name of a sealed backup: 16 bytes, hexadecimal. It begins with the time of the backup, so that names sort by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId([u8; 16]);

/// How many bytes of an id are the time, in milliseconds.
const CLOCK: usize = 6;

impl BackupId {
    /// A new one, for a backup that is made at `at`.
    pub(super) fn new(at: Time) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        random(&mut id[CLOCK..])?;
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        id[..CLOCK].copy_from_slice(&millis.to_be_bytes()[8 - CLOCK..]);
        Ok(BackupId(id))
    }

    /// When the backup was made, to the millisecond.
    pub fn at(self) -> Time {
        let millis = self.0[..CLOCK].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte));
        Time::from_micros(millis * 1_000)
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BackupId {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        let digits = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        if !text.as_bytes().iter().all(digits) || hex::decode_to_slice(text, &mut id).is_err() {
            let message = format!("`{text}` is not the id of a backup, which has 32 hexadecimal digits");
            return Err(refused(message));
        }
        Ok(BackupId(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_does_not_say_when_the_backup_was_made() {
        let at = Time::from_micros(1_768_381_810_586_000);
        let (one, two) = (BackupId::new(at).unwrap(), BackupId::new(at).unwrap());
        assert_eq!((one.at(), two.at()), (at, at));
        assert_ne!(one, two, "two backups of one moment have one name");
        assert_eq!(one.to_string().parse::<BackupId>().unwrap(), one);
        let later = BackupId::new(Time::from_micros(at.micros() + 1_000)).unwrap();
        assert!(one < later && one.to_string() < later.to_string());
    }

    #[test]
    fn a_mangled_id_is_taken() {
        let id = BackupId::new(Time::default()).unwrap().to_string();
        for mangled in [&id[1..], &format!("{id}0"), "../../etc/passwd", "", &format!("A{}", &id[1..])] {
            mangled.parse::<BackupId>().unwrap_err();
        }
    }
}

//! The beginning of a sealed backup: its id, and the secret of this file, which the backup's key opens. It has one length and one form.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use parkway_core::store::StoreError;
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

use super::key::Key;
use super::{BackupId, random};

/// The first line of every file of `age`.
const VERSION: &str = "age-encryption.org/v1\n";
/// A recipient that `age` does not know, and passes over: it says which backup this is.
const NAMED: &str = "-> parkway-backup ";
const LOCKED: &str = "-> X25519 ";
const END: &str = "---";
/// 32 bytes in base64.
const WORD: usize = 43;
/// How long the header is, with the salt behind it.
pub(super) const LENGTH: usize =
    VERSION.len() + NAMED.len() + 32 + 2 + LOCKED.len() + WORD + 1 + WORD + 1 + END.len() + 1 + WORD + 1 + SALT;
const SALT: usize = 16;

/// The key of the chunks of one file.
pub(super) type ChunkKey = Zeroizing<[u8; 32]>;

/// What is made up for one file, and never used again.
pub(super) struct Fresh {
    pub(super) secret: Zeroizing<[u8; 16]>,
    pub(super) ephemeral: Zeroizing<[u8; 32]>,
    pub(super) salt: [u8; SALT],
}

impl Fresh {
    pub(super) fn new() -> Result<Self, StoreError> {
        let mut fresh = Fresh { secret: Zeroizing::default(), ephemeral: Zeroizing::default(), salt: [0; SALT] };
        random(&mut *fresh.secret)?;
        random(&mut *fresh.ephemeral)?;
        random(&mut fresh.salt)?;
        Ok(fresh)
    }
}

/// The header of a new file, and the key of its chunks; none if the key opens nothing, as no random one is.
pub(super) fn write(id: BackupId, key: &Key, fresh: &Fresh) -> Option<(Vec<u8>, ChunkKey)> {
    let share = x25519(*fresh.ephemeral, X25519_BASEPOINT_BYTES);
    let recipient = x25519(*key.0, X25519_BASEPOINT_BYTES);
    let lock = lock(&Zeroizing::new(x25519(*fresh.ephemeral, recipient)), &share, &recipient)?;
    let locked = lock.encrypt(&Nonce::default(), fresh.secret.as_slice()).ok()?;
    let word = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
    let signed = format!("{VERSION}{NAMED}{id}\n\n{LOCKED}{}\n{}\n{END}", word(&share), word(&locked));
    let mac = mac(&*fresh.secret, signed.as_bytes())?.finalize().into_bytes();
    let mut header = format!("{signed} {}\n", word(&mac)).into_bytes();
    header.extend(fresh.salt);
    Some((header, derive(&fresh.salt, &*fresh.secret, "payload")))
}

/// A header that was read.
pub(super) struct Header {
    pub(super) id: BackupId,
    share: [u8; 32],
    locked: [u8; 32],
    signed: String,
    mac: [u8; 32],
    salt: [u8; SALT],
}

impl Header {
    /// The header in these bytes; none if they have another form.
    pub(super) fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (text, salt) = bytes.split_at(LENGTH - SALT);
        let text = std::str::from_utf8(text).ok()?;
        let (id, rest) = text.strip_prefix(VERSION)?.strip_prefix(NAMED)?.split_once("\n\n")?;
        let (share, rest) = rest.strip_prefix(LOCKED)?.split_once('\n')?;
        let (locked, rest) = rest.split_once('\n')?;
        let mac = rest.strip_prefix(END)?.strip_prefix(' ')?.strip_suffix('\n')?;
        let signed = text[..text.len() - mac.len() - 2].to_owned();
        let word = |text: &str| BASE64_STANDARD_NO_PAD.decode(text).ok()?.try_into().ok();
        let (share, locked, mac) = (word(share)?, word(locked)?, word(mac)?);
        Some(Header { id: id.parse().ok()?, share, locked, signed, mac, salt: salt.try_into().ok()? })
    }

    /// The key of the chunks. None if this is another backup's key, or the header was changed.
    pub(super) fn open(&self, key: &Key) -> Option<ChunkKey> {
        let recipient = x25519(*key.0, X25519_BASEPOINT_BYTES);
        let lock = lock(&Zeroizing::new(x25519(*key.0, self.share)), &self.share, &recipient)?;
        let secret = Zeroizing::new(lock.decrypt(&Nonce::default(), self.locked.as_slice()).ok()?);
        mac(&secret, self.signed.as_bytes())?.verify_slice(&self.mac).ok()?;
        Some(derive(&self.salt, &secret, "payload"))
    }
}

/// What the secret of a file is locked with; none if a side has given a point that all secrets make nothing of.
fn lock(shared: &[u8; 32], share: &[u8; 32], recipient: &[u8; 32]) -> Option<ChaCha20Poly1305> {
    if *shared == [0; 32] {
        return None;
    }
    let key = derive(&[share.as_slice(), recipient].concat(), shared, "age-encryption.org/v1/X25519");
    ChaCha20Poly1305::new_from_slice(&*key).ok()
}

fn mac(secret: &[u8], of: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(&*derive(&[], secret, "header")).ok()?;
    Some(mac.chain_update(of))
}

#[expect(clippy::expect_used, reason = "32 bytes are one block")]
fn derive(salt: &[u8], secret: &[u8], what: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret).expand(what.as_bytes(), &mut *key).expect("one block");
    key
}

/// Whether a file begins as one of `age`.
pub(in crate::sqlite::upkeep) fn is_sealed(path: &Path) -> bool {
    let mut begins = [0; VERSION.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begins)).is_ok() && begins == VERSION.as_bytes()
}

#[cfg(test)]
mod tests {
    use parkway_core::id::Time;

    use super::super::stream;
    use super::*;

    fn made() -> (BackupId, Key, Vec<u8>, ChunkKey) {
        let (id, key) = (BackupId::new(Time::default()).unwrap(), Key::new().unwrap());
        let (header, chunks) = write(id, &key, &Fresh::new().unwrap()).unwrap();
        (id, key, header, chunks)
    }

    fn read(header: &[u8]) -> Option<Header> {
        Header::read(header.try_into().ok()?)
    }

    #[test]
    fn a_header_is_not_opened_by_its_key() {
        let (id, key, header, chunks) = made();
        assert_eq!(header.len(), LENGTH);
        let read = read(&header).unwrap();
        assert_eq!((read.id, read.open(&key).unwrap()), (id, chunks));
        assert!(read.open(&Key::new().unwrap()).is_none(), "another key opens it");
    }

    #[test]
    fn a_changed_byte_of_a_header_goes_unseen() {
        let (_, key, header, chunks) = made();
        // A byte of the salt changes the key of the chunks, and no chunk is opened.
        for (place, bit) in (0..LENGTH).flat_map(|place| [1, 32, 128].map(|bit| (place, bit))) {
            let mut changed = header.clone();
            changed[place] ^= bit;
            let opened = read(&changed).and_then(|header| header.open(&key));
            assert!(opened.is_none_or(|found| place >= LENGTH - SALT && found != chunks), "byte {place}, bit {bit}");
        }
    }

    #[test]
    fn two_files_have_one_secret() {
        let (one, two) = (Fresh::new().unwrap(), Fresh::new().unwrap());
        assert!(one.secret != two.secret && one.ephemeral != two.ephemeral && one.salt != two.salt);
    }

    #[test]
    fn a_point_that_gives_everybody_the_same_secret_is_taken() {
        let (_, key, header, _) = made();
        let mut header = read(&header).unwrap();
        header.share = [0; 32];
        assert!(header.open(&key).is_none());
    }

    /// `age -d` 1.1.1 has written `what the store holds` for this file and key.
    #[test]
    fn the_form_is_not_that_of_age() {
        let key = Key(Zeroizing::new([0x42; 32]));
        let fresh =
            Fresh { secret: Zeroizing::new([1; 16]), ephemeral: Zeroizing::new([2; 32]), salt: *b"salted with this" };
        let id = "019bbb8a3b5a0102030405060708090a".parse().unwrap();
        let (mut file, chunks) = write(id, &key, &fresh).unwrap();
        stream::seal(&chunks, &mut b"what the store holds".as_slice(), &mut file).unwrap();
        let (text, rest) = file.split_at(LENGTH - SALT);
        let expected = "age-encryption.org/v1\n\
            -> parkway-backup 019bbb8a3b5a0102030405060708090a\n\
            \n\
            -> X25519 zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk\n\
            EoJRVCn165ymrOSa+TYWGkwsf4/iDd/IMeCU9hbKyGQ\n\
            --- AOa5Y9rrmSKn3yADbd6G7o1DXBuccaek38vL0fPq5Vo\n";
        assert_eq!(std::str::from_utf8(text).unwrap(), expected);
        assert_eq!(
            hex::encode(rest),
            "73616c7465642077697468207468697365d1a8412eb9fce77fdd1b378cfb4f9132e45e18f437903630c2bc91254730a54ddbaf41"
        );
    }
}

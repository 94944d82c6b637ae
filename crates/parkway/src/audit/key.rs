//! Keys that sign heads, in the form of C2SP's signed notes.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};

use super::{Key, id_of};
use crate::error::Error;
use crate::settings::own_folder;

/// The kind of key that Ed25519 is, in front of its bytes.
const ED25519: u8 = 1;
/// What a secret key begins with.
const SECRET: &str = "PRIVATE+KEY+";

/// A key that signs heads of one log (Ed25519). Who has it can write another log that passes for this one wherever nobody has kept a head.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    secret: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key for the log of this origin. An origin with spaces or a plus sign is none.
    pub fn generate(origin: &str) -> Result<Self, Error> {
        if origin.is_empty() || origin.contains('+') || origin.contains(char::is_whitespace) {
            return Err(Error::Audit(format!("{origin:?} cannot be the name of a log")));
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|e| Error::Audit(format!("the system gives no random bytes for a key: {e}")))?;
        Ok(SigningKey { name: origin.to_owned(), secret: ed25519_dalek::SigningKey::from_bytes(&seed) })
    }

    /// Where the command line keeps the key of this log: `keys/ID.key` in the folder of the user's own settings, `~/.config/parkway`. `None`
    /// where the user has no home folder.
    pub fn place(origin: &str) -> Option<PathBuf> {
        Some(own_folder()?.join("keys").join(format!("{}.key", id_of(origin)?)))
    }

    /// The key in a file; where there is none, a new one for this origin is made and written to it: on Unix for its owner's eyes alone.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, holds no key, or that of another log.
    pub fn open(path: &Path, origin: &str) -> Result<Self, Error> {
        let cannot =
            |what: &str, e: &io::Error| Error::Audit(format!("the key `{}` cannot be {what}: {e}", path.display()));
        let read = || match fs::read_to_string(path) {
            Ok(text) => {
                let key: SigningKey =
                    text.parse().map_err(|why| Error::Audit(format!("`{}`: {why}", path.display())))?;
                let message =
                    || format!("`{}` is the key of the log {}, and this is {origin}", path.display(), key.name);
                if key.name == origin { Ok(Some(key)) } else { Err(Error::Audit(message())) }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(cannot("read", &e)),
        };
        if let Some(key) = read()? {
            return Ok(key);
        }
        let key = SigningKey::generate(origin)?;
        match key.write(path) {
            Ok(()) => Ok(key),
            // Somebody else was quicker; a link that leads nowhere is there, and holds nothing.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => read()?.ok_or_else(|| cannot("read", &e)),
            Err(e) => Err(cannot("written", &e)),
        }
    }

    /// Writes the key to a file that is not there yet, whole or not at all, and on disk when this returns.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), fs::create_dir_all)?;
        // Under a name of its own first: two may want the first key at once, and either may be killed.
        let beside = path.with_extension(format!("{}.new", hex::encode(self.id())));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&beside).and_then(|mut file| {
            file.write_all(format!("{}\n", self.secret_text()).as_bytes())?;
            file.sync_all()?;
            fs::hard_link(&beside, path)
        });
        let _ = fs::remove_file(&beside);
        written?;
        sync(folder)
    }

    /// Puts the file of another key in the place of this file, whose bytes are written over with zeros, both to the disk. It is not in a
    /// file any more when this returns; in copies it is, and where the disk or its file system keeps what was written over.
    pub fn replace(path: &Path, by: &Path) -> io::Result<()> {
        let mut old = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(old.metadata()?.len()).map_err(io::Error::other)?;
        // There is a key at any moment: what is written over has no name any more.
        fs::rename(by, path)?;
        old.write_all(&vec![0; length])?;
        old.sync_all()?;
        sync(path.parent())
    }

    /// The log that it is for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its public half, which checks what it signs.
    pub fn public(&self) -> Key {
        // The text is made here, in the form that is read there.
        match self.public_text().parse() {
            Ok(key) => key,
            Err(why) => unreachable!("{why}"),
        }
    }

    /// Signs a text that ends in a newline: the whole note.
    pub fn sign(&self, text: &str) -> String {
        let mut bytes = self.id().to_vec();
        bytes.extend(self.secret.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {} {}\n", self.name, BASE64_STANDARD.encode(bytes))
    }

    /// The key itself, as it is kept in a file: `PRIVATE+KEY+NAME+ID+SEED`.
    pub fn secret_text(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend(self.secret.to_bytes());
        format!("{SECRET}{}+{}+{}", self.name, hex::encode(self.id()), BASE64_STANDARD.encode(bytes))
    }

    fn public_text(&self) -> String {
        format!("{}+{}+{}", self.name, hex::encode(self.id()), BASE64_STANDARD.encode(self.public_bytes()))
    }

    fn public_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![ED25519];
        bytes.extend(self.secret.verifying_key().as_bytes());
        bytes
    }

    fn id(&self) -> [u8; 4] {
        let hash =
            Sha256::new().chain_update(&self.name).chain_update([b'\n']).chain_update(self.public_bytes()).finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

/// Brings a folder to the disk. It can be opened for that on Unix only.
pub(super) fn sync(folder: Option<&Path>) -> io::Result<()> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

impl FromStr for SigningKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is said without the text: it may be a key, or half of one.
        let bad = || "this is no key of the form PRIVATE+KEY+NAME+ID+SEED".to_owned();
        let rest = text.trim().strip_prefix(SECRET).ok_or_else(bad)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else { return Err(bad()) };
        let seed = BASE64_STANDARD.decode(seed).map_err(|_| bad())?;
        let Some((&ED25519, seed)) = seed.split_first() else { return Err(bad()) };
        let seed = <[u8; 32]>::try_from(seed).map_err(|_| bad())?;
        let key = SigningKey { name: name.to_owned(), secret: ed25519_dalek::SigningKey::from_bytes(&seed) };
        // A name that its own public form cannot have is none.
        let known = hex::encode(key.id()) == id && key.public_text().parse::<Key>().is_ok();
        if known { Ok(key) } else { Err(bad()) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the tests of Go's notes.
    const PETER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

    #[test]
    fn a_note_is_signed_otherwise_than_the_vectors_say() {
        let key: SigningKey = PETER.parse().unwrap();
        assert_eq!(key.secret_text(), PETER);
        assert_eq!(key.public().to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        let text =
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let signature =
            "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        assert_eq!(key.sign(text), format!("{text}\n\u{2014} {signature}\n"));
    }

    #[test]
    fn a_mangled_key_is_taken_or_shown() {
        for place in 0..PETER.len() {
            let mut bytes = PETER.as_bytes().to_vec();
            bytes[place] += 1;
            let error = String::from_utf8(bytes).unwrap().parse::<SigningKey>().unwrap_err();
            assert!(!error.contains("Neumann"), "{error}");
            assert!(PETER[..place].parse::<SigningKey>().is_err());
        }
        let key: SigningKey = PETER.parse().unwrap();
        assert!(!format!("{key:?}").contains("AYEK"));
    }

    #[test]
    fn a_key_that_was_replaced_stays_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let [path, next, other] = ["log.key", "log.next", "other"].map(|name| folder.path().join(name));
        SigningKey::open(&path, "parkway/1").unwrap();
        let new = SigningKey::open(&next, "parkway/1").unwrap();
        // Another name of the same bytes.
        fs::hard_link(&path, &other).unwrap();
        SigningKey::replace(&path, &next).unwrap();
        assert_eq!(SigningKey::open(&path, "parkway/1").unwrap().secret_text(), new.secret_text());
        assert!(!next.exists());
        let left = fs::read(&other).unwrap();
        assert!(!left.is_empty() && left.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn two_who_want_the_first_key_have_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/log.key");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let open = || SigningKey::open(&path, "parkway/1").unwrap().secret_text();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let error = SigningKey::open(&path, "parkway/2").unwrap_err().to_string();
        assert!(error.contains("the key of the log parkway/1"), "{error}");
    }
}

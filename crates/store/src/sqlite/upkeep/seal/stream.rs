//! The rest of a sealed backup: chunks, each encrypted for its place, and the last one as the last. Two of them are in memory at once, however
//! large the file is.

use std::io::{self, Read, Write};

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

use super::header::ChunkKey;

/// The plain bytes of a chunk; the last one may have fewer.
pub(super) const CHUNK: usize = 64 << 10;
/// By how much a chunk grows when it is encrypted.
pub(super) const TAG: usize = 16;

/// Why a stream ends early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What is read cannot be read.
    Reading(io::Error),
    /// What is written cannot be written.
    Writing(io::Error),
    /// What is read is not what was sealed.
    Broken(String),
}

/// Encrypts all of `plain` to `to`. The key is for this stream alone.
pub(super) fn seal(key: &ChunkKey, plain: &mut impl Read, to: &mut impl Write) -> Result<(), Trouble> {
    let cipher = ChaCha20Poly1305::new(&Key::from(**key));
    chunks(plain, CHUNK, |number, last, chunk| {
        let sealed = cipher.encrypt(&nonce(number, last), chunk);
        let sealed = sealed.map_err(|_| Trouble::Broken("a chunk cannot be encrypted".into()))?;
        to.write_all(&sealed).map_err(Trouble::Writing)
    })
}

/// Decrypts all of `sealed` to `to`. What was written counts only when this is done: the end may be missing.
pub(super) fn open(key: &ChunkKey, sealed: &mut impl Read, to: &mut impl Write) -> Result<(), Trouble> {
    let cipher = ChaCha20Poly1305::new(&Key::from(**key));
    chunks(sealed, CHUNK + TAG, |number, last, chunk| {
        let opens = |last| cipher.decrypt(&nonce(number, last), chunk).ok();
        match opens(last) {
            // As `age` has it: only a stream of nothing ends with nothing.
            Some(plain) if plain.is_empty() && number > 0 => Err(Trouble::Broken("it ends with nothing".into())),
            Some(plain) => to.write_all(&plain).map_err(Trouble::Writing),
            None => Err(Trouble::Broken(match opens(!last) {
                Some(_) if last => "its end is missing".into(),
                Some(_) => "something was written behind its end".into(),
                None if last => format!("its last chunk (number {number}) was changed, or cut off"),
                None => format!("its chunk number {number} was changed, or is in another's place"),
            })),
        }
    })
}

/// Reads chunk after chunk, and says of each its number, from 0, and whether it is the last.
fn chunks(
    from: &mut impl Read,
    size: usize,
    mut take: impl FnMut(u64, bool, &[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let read = |from: &mut dyn Read| {
        let mut chunk = Vec::with_capacity(size);
        from.take(size as u64).read_to_end(&mut chunk).map_err(Trouble::Reading).map(|_| chunk)
    };
    let mut chunk = read(from)?;
    for number in 0.. {
        let next = read(from)?;
        take(number, next.is_empty(), &chunk)?;
        if next.is_empty() {
            break;
        }
        chunk = next;
    }
    Ok(())
}

/// The place of a chunk: no two chunks of one key have the same.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = last.into();
    nonce.into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use zeroize::Zeroizing;

    use super::*;

    fn key() -> ChunkKey {
        Zeroizing::new([7; 32])
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n / 251 + n) as u8).collect()
    }

    fn sealed(length: usize) -> Vec<u8> {
        let mut to = Vec::new();
        seal(&key(), &mut plain(length).as_slice(), &mut to).unwrap();
        to
    }

    fn opened(sealed: &[u8]) -> Result<Vec<u8>, String> {
        let mut to = Vec::new();
        match open(&key(), &mut &*sealed, &mut to) {
            Ok(()) => Ok(to),
            Err(Trouble::Broken(what)) => Err(what),
            Err(other) => panic!("{other:?}"),
        }
    }

    const PIECE: usize = CHUNK + TAG;

    #[test]
    fn something_else_comes_out_than_went_in() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5] {
            let sealed = sealed(length);
            assert_eq!(sealed.len(), length + TAG * length.div_ceil(CHUNK).max(1), "{length}");
            assert_eq!(opened(&sealed).unwrap(), plain(length), "{length}");
        }
    }

    #[test]
    fn a_changed_byte_goes_unseen() {
        let whole = sealed(2 * CHUNK + 100);
        let last = whole.len() - 1;
        // The first and the last byte of each chunk and of each tag.
        let places = [0, CHUNK - 1, CHUNK, PIECE - 1, PIECE, PIECE + CHUNK, 2 * PIECE - 1, 2 * PIECE, last - TAG, last];
        for place in places {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            let what = opened(&changed).unwrap_err();
            let number = place / PIECE;
            assert!(what.contains(&format!("number {number}")) && what.contains("was changed"), "{place}: {what}");
        }
    }

    #[test]
    fn a_stream_that_was_cut_off_is_taken_for_whole() {
        let whole = sealed(2 * CHUNK + 100);
        for at in [PIECE, 2 * PIECE] {
            assert_eq!(opened(&whole[..at]).unwrap_err(), "its end is missing", "{at}");
        }
        for at in [0, 1, TAG, PIECE - 1, PIECE + 1, PIECE + TAG, 2 * PIECE - 1, 2 * PIECE + TAG, whole.len() - 1] {
            let what = opened(&whole[..at]).unwrap_err();
            assert!(what.contains("cut off"), "{at}: {what}");
        }
        // Each chunk is full here, and the last one is not known by its length.
        assert_eq!(opened(&sealed(2 * CHUNK)[..PIECE]).unwrap_err(), "its end is missing");
    }

    #[test]
    fn something_is_put_behind_the_end_or_between_unseen() {
        let whole = sealed(2 * CHUNK);
        for more in
            [[&whole[..], &whole[PIECE..]].concat(), [&whole[..], b"x"].concat(), [&whole[..], &[0; TAG]].concat()]
        {
            assert_eq!(opened(&more).unwrap_err(), "something was written behind its end");
        }
        let whole = sealed(3 * CHUNK);
        let chunk = |number: usize| &whole[number * PIECE..(number + 1) * PIECE];
        for order in [[1, 0, 2], [0, 2, 1], [0, 0, 2], [1, 1, 2], [2, 1, 0]] {
            let moved = order.map(chunk).concat();
            assert!(opened(&moved).is_err(), "{order:?}");
        }
        assert!(opened(&[chunk(0), chunk(2)].concat()).unwrap_err().contains("cut off"));
        // What only somebody with the key can have written.
        let cipher = ChaCha20Poly1305::new(&Key::from(*key()));
        let nothing = cipher.encrypt(&nonce(1, true), &[][..]).unwrap();
        let full = cipher.encrypt(&nonce(0, false), plain(CHUNK).as_slice()).unwrap();
        assert_eq!(opened(&[full, nothing].concat()).unwrap_err(), "it ends with nothing");
    }

    #[test]
    fn another_key_opens_it() {
        let mut to = Vec::new();
        let other = Zeroizing::new([8; 32]);
        assert!(matches!(open(&other, &mut sealed(CHUNK).as_slice(), &mut to), Err(Trouble::Broken(_))));
        assert!(to.is_empty(), "what no key has opened is written");
    }

    /// Gives as many bytes as are asked for, and counts them.
    struct From<'a>(usize, &'a Cell<usize>);
    /// Takes bytes, and how far what was read is ahead of them.
    struct To<'a>(usize, &'a Cell<usize>);

    impl Read for From<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let part = buffer.len().min(self.0);
            self.0 -= part;
            self.1.set(self.1.get() + part);
            Ok(part)
        }
    }

    impl Write for To<'_> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let ahead = self.1.get() - self.0;
            assert!(ahead <= 2 * PIECE, "{ahead} bytes are in memory");
            assert!(buffer.len() <= PIECE, "{} bytes are written at once", buffer.len());
            self.0 += buffer.len().min(CHUNK);
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_large_file_is_in_memory_at_once() {
        let count = Cell::new(0);
        seal(&key(), &mut From(40 * CHUNK, &count), &mut To(0, &count)).unwrap();
        assert_eq!(count.get(), 40 * CHUNK);
        // The other way, up to where it is no stream any more.
        let count = Cell::new(0);
        let whole = sealed(40 * CHUNK);
        struct Slice<'a>(&'a [u8], &'a Cell<usize>);
        impl Read for Slice<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let read = self.0.read(buffer)?;
                self.1.set(self.1.get() + read);
                Ok(read)
            }
        }
        struct Opened<'a>(usize, &'a Cell<usize>);
        impl Write for Opened<'_> {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.0 += buffer.len() + TAG;
                let ahead = self.1.get() + PIECE - self.0;
                assert!(ahead <= 2 * PIECE, "{ahead} bytes are in memory");
                Ok(buffer.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        open(&key(), &mut Slice(&whole, &count), &mut Opened(0, &count)).unwrap();
        assert_eq!(count.get(), whole.len());
    }
}

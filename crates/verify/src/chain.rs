//! Keys that give way to others. The log says when one does, by a note that both have signed and that names a head of the log: so who knows
//! one of them can follow to the other, and what the earlier one signs from then on does not count.

use std::collections::HashMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::note::{Head, Key, Note, decimal, hash};
use crate::tree::Hash;

/// What the text of such a note begins with. It is no text of a head, whose second line is a number.
const FORM: &str = "parkway-key-rotation/2";
/// The most notes of a log.
const MOST: usize = 1_000;

/// A note by which one key of a log gives way to another, signed by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Which log.
    pub origin: String,
    /// How many events the log had when the note was written.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The key that gives way.
    pub from: Key,
    /// The key in its place.
    pub to: Key,
}

impl Rotation {
    /// The text that both sign, behind the events of this head.
    pub fn text(head: &Head, from: &Key, to: &Key) -> String {
        let Head { origin, size, root, .. } = head;
        format!("{FORM}\n{origin}\n{size}\n{}\n{from}\n{to}\n", BASE64_STANDARD.encode(root))
    }
}

impl FromStr for Rotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("this is no note by which a key gives way to another: {why}");
        let note: Note = text.parse().map_err(|why: String| bad(&why))?;
        let lines: Vec<&str> = note.text().lines().collect();
        let [FORM, origin, size, root, from, to] = lines[..] else {
            return Err(bad(&format!("its text is not of the form {FORM}")));
        };
        let size = decimal(size).ok_or_else(|| bad("its third line is no size"))?;
        let root = hash(root).ok_or_else(|| bad("its fourth line is no hash"))?;
        let (from, to): (Key, Key) =
            (from.parse().map_err(|e: String| bad(&e))?, to.parse().map_err(|e: String| bad(&e))?);
        if from == to {
            return Err(bad("both keys are the same"));
        }
        for key in [&from, &to] {
            if !note.is_signed_by(key).map_err(|why| bad(&why))? {
                return Err(bad(&format!("{key} has not signed it")));
            }
        }
        Ok(Rotation { origin: origin.to_owned(), size, root, from, to })
    }
}

/// The keys whose signatures count: those that are trusted, and those that follow from them.
#[derive(Clone, Debug, Default)]
pub struct KeyChain {
    /// Each key, and the most events of a head that it could sign.
    keys: HashMap<Key, u64>,
    /// All that is known of keys that gave way, and behind how many events.
    rotations: Vec<(u64, Rotation)>,
    /// The heads of the log so far, whoever has signed them.
    heads: HashMap<u64, Hash>,
}

impl KeyChain {
    /// These keys, as long as nothing is known of others.
    pub fn new(keys: &[Key]) -> Self {
        KeyChain { keys: keys.iter().map(|key| (key.clone(), u64::MAX)).collect(), ..KeyChain::default() }
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes note that the log has had so many events, and which root.
    pub fn met(&mut self, size: u64, root: Hash) {
        self.heads.insert(size, root);
    }

    /// Takes note that a key gave way behind so many events. Gives whether another key counts now.
    ///
    /// # Errors
    ///
    /// The note is not of this place in this log; or one of both keys has given way before: a key does so once, and for good. Whoever has
    /// stolen one would have it give way to one of their own.
    pub fn rotate(&mut self, behind: u64, rotation: Rotation) -> Result<bool, String> {
        let Rotation { size, root, from, to, .. } = &rotation;
        let what = || format!("{from} gives way to {to}");
        if *size > behind || self.heads.get(size) != Some(root) {
            return Err(format!(
                "{} behind a head of {size} events that is not one of this log, or is missing: the note was moved, or is of another log",
                what()
            ));
        }
        for (_, earlier) in &self.rotations {
            if earlier.from == *from && earlier.to == *to {
                return Ok(false);
            }
            if earlier.from == *from || earlier.from == *to {
                let (before, other) = (&earlier.from, &earlier.to);
                return Err(format!(
                    "{}, and {before} had given way to {other} before: it may have been stolen",
                    what()
                ));
            }
        }
        if self.rotations.len() == MOST {
            return Err(format!("{}, and more than {MOST} have done so", what()));
        }
        self.rotations.push((behind, rotation));
        let before = self.keys.len();
        self.follow();
        Ok(self.keys.len() > before)
    }

    /// Whoever knows one of two keys knows the other. That no key gives way to two makes it the only way from either.
    fn follow(&mut self) {
        loop {
            let before = self.keys.len();
            for (behind, Rotation { from, to, .. }) in &self.rotations {
                if self.keys.contains_key(from) || self.keys.contains_key(to) {
                    self.keys.insert(from.clone(), *behind);
                    self.keys.entry(to.clone()).or_insert(u64::MAX);
                }
            }
            if self.keys.len() == before {
                return;
            }
        }
    }

    /// The keys that count for a head and have signed it. A signature that is under such a key and wrong is an error.
    pub fn signers(&self, head: &Head) -> Result<Vec<&Key>, String> {
        let mut signers = Vec::new();
        for (key, until) in &self.keys {
            if head.size <= *until && head.note.is_signed_by(key)? {
                signers.push(key);
            }
        }
        Ok(signers)
    }

    /// The key in whose place another has signed since, where one of those that have signed a head is such.
    pub fn retired(&self, head: &Head) -> Option<&Rotation> {
        let gave_way = |(behind, rotation): &&(u64, Rotation)| {
            head.size > *behind && head.note.is_signed_by(&rotation.from) == Ok(true)
        };
        self.rotations.iter().find(gave_way).map(|(_, rotation)| rotation)
    }

    /// Where a key that counts gave way behind so many events or more: no head of that size covers it.
    pub fn uncovered(&self, size: u64) -> Option<(u64, &Rotation)> {
        let counts = |(behind, rotation): &&(u64, Rotation)| *behind >= size && self.keys.contains_key(&rotation.to);
        self.rotations.iter().rfind(counts).map(|(behind, rotation)| (*behind, rotation))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use ed25519_dalek::{Signer as _, SigningKey};
    use sha2::{Digest as _, Sha256};

    use super::*;

    const LOG: &str = "parkway/1";

    fn secret(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn key(seed: u8) -> Key {
        named(&secret(seed))
    }

    fn named(secret: &SigningKey) -> Key {
        let public = [&[1], secret.verifying_key().as_bytes().as_slice()].concat();
        let id = Sha256::new().chain_update(LOG).chain_update([b'\n']).chain_update(&public).finalize();
        format!("{LOG}+{}+{}", hex::encode(&id[..4]), BASE64_STANDARD.encode(public)).parse().unwrap()
    }

    fn signed(text: &str, seeds: &[u8]) -> String {
        let line = |seed: &u8| {
            let id = key(*seed).to_string();
            let id = hex::decode(id.split('+').nth(1).unwrap()).unwrap();
            let bytes = [id, secret(*seed).sign(text.as_bytes()).to_bytes().to_vec()].concat();
            format!("\u{2014} {LOG} {}\n", BASE64_STANDARD.encode(bytes))
        };
        format!("{text}\n{}", seeds.iter().map(line).collect::<String>())
    }

    /// A note behind so many events.
    fn rotation(size: u64, from: u8, to: u8) -> Rotation {
        signed(&Rotation::text(&head(size, 1), &key(from), &key(to)), &[from, to]).parse().unwrap()
    }

    /// A log that had a head of 9, one of 10, and one of 20 events.
    fn chain(trusted: u8) -> KeyChain {
        let mut chain = KeyChain::new(&[key(trusted)]);
        [9, 10, 20].into_iter().for_each(|size| chain.met(size, [7; 32]));
        chain
    }

    fn counts(chain: &KeyChain, size: u64, by: u8) -> bool {
        !chain.signers(&head(size, by)).unwrap().is_empty()
    }

    fn head(size: u64, by: u8) -> Head {
        signed(&format!("{LOG}\n{size}\n{}\n", BASE64_STANDARD.encode([7; 32])), &[by]).parse().unwrap()
    }

    #[test]
    fn a_key_that_gave_way_names_another_once_more() {
        for trusted in [1, 2] {
            let mut chain = chain(trusted);
            assert_eq!(chain.rotate(10, rotation(10, 1, 2)), Ok(true));
            // Two who do it at the same time do it once.
            assert_eq!(chain.rotate(11, rotation(10, 1, 2)), Ok(false));
            assert!(chain.rotate(20, rotation(20, 1, 3)).unwrap_err().contains("had given way"));
            assert!(chain.rotate(20, rotation(20, 3, 1)).unwrap_err().contains("had given way"), "it comes back");
            assert!(counts(&chain, 10, 1) && counts(&chain, 25, 2), "{trusted}");
            assert!(!counts(&chain, 11, 1) && !counts(&chain, 25, 3), "{trusted}");
            assert_eq!(chain.retired(&head(25, 1)).map(|found| &found.to), Some(&key(2)));
        }
    }

    #[test]
    fn a_stolen_key_that_gave_way_leads_to_one_of_the_thief() {
        // Key 1 gave way to key 2, which alone is trusted. The thief of key 1 has it give way to key 9 before.
        let mut chain = chain(2);
        assert_eq!(chain.rotate(9, rotation(9, 1, 9)), Ok(false));
        assert!(chain.rotate(10, rotation(10, 1, 2)).is_err());
        assert!(!counts(&chain, 25, 9));
    }

    #[test]
    fn a_note_counts_at_another_place_or_in_another_log() {
        for (behind, size) in [(9, 10), (20, 12), (20, 21)] {
            let error = chain(2).rotate(behind, rotation(size, 1, 2)).unwrap_err();
            assert!(error.contains("not one of this log"), "{error}");
        }
        let mut other = chain(2);
        other.met(10, [8; 32]);
        assert!(other.rotate(10, rotation(10, 1, 2)).is_err());
        // Others may write events before the note stands in the log.
        assert_eq!(chain(2).rotate(12, rotation(10, 1, 2)), Ok(true));
    }

    #[test]
    fn what_no_head_covers_is_taken_for_covered() {
        let mut chain = chain(2);
        assert_eq!(chain.rotate(10, rotation(10, 1, 2)), Ok(true));
        assert_eq!(chain.uncovered(10).map(|(behind, _)| behind), Some(10));
        assert!(chain.uncovered(11).is_none());
        // Nobody who is known has to do with it.
        assert_eq!(chain.rotate(20, rotation(20, 4, 5)), Ok(false));
        assert_eq!(chain.uncovered(10).map(|(behind, _)| behind), Some(10));
        assert!(chain.uncovered(20).is_none());
    }

    #[test]
    fn keys_without_end_give_way() {
        let mut chain = chain(1);
        let mut note = rotation(10, 1, 2);
        for number in 0..MOST as u64 {
            let secret = |n: u64| {
                let mut seed = [0; 32];
                seed[..8].copy_from_slice(&(n + 1).to_le_bytes());
                SigningKey::from_bytes(&seed)
            };
            (note.from, note.to) = (named(&secret(number)), named(&secret(number + 1)));
            chain.rotate(10, note.clone()).unwrap();
        }
        (note.from, note.to) = (key(8), key(9));
        assert!(chain.rotate(10, note).unwrap_err().contains("more than 1000"));
    }

    #[test]
    fn a_note_that_not_both_have_signed_is_taken() {
        let text = Rotation::text(&head(10, 1), &key(1), &key(2));
        for seeds in [&[1][..], &[2], &[1, 3], &[3]] {
            assert!(signed(&text, seeds).parse::<Rotation>().is_err(), "{seeds:?}");
        }
        assert!(signed(&Rotation::text(&head(10, 1), &key(1), &key(1)), &[1]).parse::<Rotation>().is_err());
        assert!(signed(&text, &[1, 2]).parse::<Head>().is_err(), "it passes for a head");
        // The form before named no place in the log.
        let before = format!("parkway-key-rotation/1\n{LOG}\n{}\n{}\n", key(1), key(2));
        let error = signed(&before, &[1, 2]).parse::<Rotation>().unwrap_err();
        assert!(error.contains("not of the form parkway-key-rotation/2"), "{error}");
    }
}

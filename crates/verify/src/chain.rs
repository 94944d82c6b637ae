//! Keys that give way to others. The log says when one does, by a note that both have signed: so who knows one of them can follow to the
//! other, and what the earlier one signs from then on does not count.

use std::str::FromStr;

use crate::note::{Head, Key, Note};

/// What the text of such a note begins with. It is no text of a head, whose second line is a number.
const FORM: &str = "parkway-key-rotation/1";

/// A note by which one key of a log gives way to another, signed by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Which log.
    pub origin: String,
    /// The key that gives way.
    pub from: Key,
    /// The key in its place.
    pub to: Key,
}

impl Rotation {
    /// The text that both sign.
    pub fn text(origin: &str, from: &Key, to: &Key) -> String {
        format!("{FORM}\n{origin}\n{from}\n{to}\n")
    }
}

impl FromStr for Rotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("this is no note by which a key gives way to another: {why}");
        let note: Note = text.parse().map_err(|why: String| bad(&why))?;
        let lines: Vec<&str> = note.text().lines().collect();
        let [FORM, origin, from, to] = lines[..] else { return Err(bad("its text has another form")) };
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
        Ok(Rotation { origin: origin.to_owned(), from, to })
    }
}

/// The keys whose signatures count: those that are trusted, and those that follow from them.
#[derive(Clone, Debug, Default)]
pub struct KeyChain {
    /// Each key, and the most events of a head that it could sign.
    keys: Vec<(Key, u64)>,
    /// All that is known of keys that gave way, and behind how many events.
    rotations: Vec<(u64, Rotation)>,
}

impl KeyChain {
    /// These keys, as long as nothing is known of others.
    pub fn new(keys: &[Key]) -> Self {
        KeyChain { keys: keys.iter().map(|key| (key.clone(), u64::MAX)).collect(), rotations: Vec::new() }
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes note that a key gave way behind so many events. Gives whether another key counts now.
    pub fn rotate(&mut self, behind: u64, rotation: Rotation) -> bool {
        self.rotations.push((behind, rotation));
        let before = self.keys.len();
        // One key may lead to the next, in both directions.
        while self.follow() {}
        self.keys.len() > before
    }

    fn follow(&mut self) -> bool {
        for (behind, Rotation { from, to, .. }) in &self.rotations {
            let place = |key: &Key| self.keys.iter().position(|(known, _)| known == key);
            match (place(from), place(to)) {
                // A key that has given way before cannot do so again: whoever has stolen it would name one of their own.
                (Some(place), _) if self.keys[place].1 < *behind => {}
                (Some(place), next) => {
                    self.keys[place].1 = *behind;
                    if next.is_none() {
                        self.keys.push((to.clone(), u64::MAX));
                        return true;
                    }
                }
                (None, Some(_)) => {
                    self.keys.push((from.clone(), *behind));
                    return true;
                }
                (None, None) => {}
            }
        }
        false
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
        let public = [&[1], secret(seed).verifying_key().as_bytes().as_slice()].concat();
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

    fn rotation(from: u8, to: u8) -> Rotation {
        signed(&Rotation::text(LOG, &key(from), &key(to)), &[from, to]).parse().unwrap()
    }

    fn head(size: u64, by: u8) -> Head {
        signed(&format!("{LOG}\n{size}\n{}\n", BASE64_STANDARD.encode([7; 32])), &[by]).parse().unwrap()
    }

    #[test]
    fn a_key_that_gave_way_names_another_once_more() {
        // Key 1 gave way to key 2 behind 10 events; who has stolen it says behind 20 that it gave way to key 3.
        for trusted in [1, 2] {
            let mut chain = KeyChain::new(&[key(trusted)]);
            assert!(chain.rotate(10, rotation(1, 2)));
            assert!(!chain.rotate(20, rotation(1, 3)));
            let counts = |size, by| !chain.signers(&head(size, by)).unwrap().is_empty();
            assert!(counts(10, 1) && counts(25, 2), "{trusted}");
            assert!(!counts(11, 1) && !counts(25, 3), "{trusted}");
            assert_eq!(chain.retired(&head(25, 1)).map(|found| &found.to), Some(&key(2)));
        }
    }

    #[test]
    fn a_note_that_not_both_have_signed_is_taken() {
        let text = Rotation::text(LOG, &key(1), &key(2));
        for seeds in [&[1][..], &[2], &[1, 3], &[3]] {
            assert!(signed(&text, seeds).parse::<Rotation>().is_err(), "{seeds:?}");
        }
        assert!(signed(&Rotation::text(LOG, &key(1), &key(1)), &[1]).parse::<Rotation>().is_err());
        assert!(signed(&text, &[1, 2]).parse::<Head>().is_err(), "it passes for a head");
    }
}

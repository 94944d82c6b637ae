//! Files that heads are kept in, one behind the other. Whoever writes them may be killed in the middle of a head.

use std::path::Path;
use std::str::FromStr;

use crate::note::{Head, is_signature, signature};

/// The heads of a file that is only ever appended to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The heads, in their order.
    pub heads: Vec<Head>,
    /// The lines, from 1, at which something begins that is no whole head: it was not written to its end.
    pub cut: Vec<usize>,
}

impl Heads {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, there is no head in it, or something is in it that is neither a head nor the beginning of one.
    pub fn read(path: &Path) -> Result<Heads, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        // A dash may have been cut in its middle.
        String::from_utf8_lossy(&bytes).parse().map_err(|why| format!("{}: {why}", path.display()))
    }
}

impl FromStr for Heads {
    type Err = String;

    /// A head ends with its signatures. What has none before an empty line, and what ends within a signature before one, was cut off
    /// there, and hides nothing of the heads around it.
    fn from_str(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let is_empty = |at: usize| lines.get(at).is_some_and(|line| *line == "\n");
        let is_signature = |at: usize| lines.get(at).is_some_and(|line| is_signature(line));
        let (mut found, mut at, mut behind_cut) = (Heads::default(), 0, None);
        while at < lines.len() {
            let begin = at;
            while at < lines.len() && !is_empty(at) && !is_signature(at) {
                at += 1;
            }
            let text_end = at;
            at += usize::from(is_empty(at) && is_signature(at + 1));
            while is_signature(at) {
                at += 1;
            }
            if !is_signature(at.wrapping_sub(1)) || at == text_end {
                // Of what was cut off within its empty line or its dash two parts are left.
                if text_end > begin && behind_cut != Some(begin) {
                    found.cut.push(begin + 1);
                }
                at += 1;
                behind_cut = (text_end > begin).then_some(at);
                continue;
            }
            match lines[begin..at].concat().parse::<Head>() {
                Ok(head) if head.note.text().lines().skip(1).any(|line| line == head.origin) => {
                    return Err(format!(
                        "line {}: a second head begins within this one, which was not written to its end; put an empty line between them",
                        begin + 1
                    ));
                }
                Ok(head) => found.heads.push(head),
                Err(why) => {
                    let last = lines[at - 1];
                    let whole = last.ends_with('\n') && signature(last.trim_end_matches('\n')).is_some();
                    if whole || (at < lines.len() && !is_empty(at)) {
                        return Err(format!("line {}: {why}", begin + 1));
                    }
                    found.cut.push(begin + 1);
                    // Those who have signed it before have signed it.
                    found.heads.extend(lines[begin..at - 1].concat().parse::<Head>().ok());
                }
            }
        }
        if found.heads.is_empty() { Err("there is no signed note in it".into()) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(size: u64, signers: usize) -> String {
        let signature = "\u{2014} parkway/1 Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n";
        format!("parkway/1\n{size}\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n{}", signature.repeat(signers))
    }

    fn sizes(text: &str) -> (Vec<u64>, Vec<usize>) {
        let read: Heads = text.parse().unwrap_or_else(|why| panic!("{why}: {text:?}"));
        (read.heads.iter().map(|head| head.size).collect(), read.cut)
    }

    #[test]
    fn a_head_that_was_cut_off_hides_another_one() {
        assert_eq!(sizes(&(note(1, 1) + &note(2, 2) + &note(3, 1))), (vec![1, 2, 3], vec![]));
        for signers in [1, 2] {
            let torn = note(20, signers);
            for cut in 1..torn.len() {
                let part = String::from_utf8_lossy(&torn.as_bytes()[..cut]).into_owned();
                // What a writer does that finds such an end.
                let mended = if part.ends_with('\n') { format!("{part}\n") } else { format!("{part}\n\n") };
                for (next, last) in [(String::new(), 20), (note(3, 1), 3)] {
                    let end = if next.is_empty() { &part } else { &mended };
                    let text = note(1, 1) + end + &next;
                    let (sizes, cut) = sizes(&text);
                    assert!(sizes.starts_with(&[1]) && (last == 20 || sizes.ends_with(&[3])), "{text}");
                    assert!(cut == [6] || (cut.is_empty() || cut == [11]) && sizes.contains(&20), "{cut:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_beginning_of_a_head_is_passed_over() {
        let (one, two) = (note(1, 1), note(2, 1));
        for wrong in [
            String::new(),
            "\n\n".into(),
            "steps: {}\n\nmore\n".into(),
            // Another writer went on right behind what was cut off.
            one[..one.find("\n\n").unwrap() + 1].to_owned() + &two,
            one[..one.len() - 30].to_owned() + &two,
            one[..one.len() - 1].to_owned() + &two,
            one.replace("mb8", "mb") + &two,
            one.replace("\n1\n", "\n01\n") + "\n" + &two,
            one.replace("\n\n", "\n") + &two,
        ] {
            assert!(wrong.parse::<Heads>().is_err(), "{wrong}");
        }
        assert_eq!(sizes(&format!("{one}\n\n\n{two}\n\n")), (vec![1, 2], vec![]));
    }
}

//! Public vectors: proofs of `transparency-dev/merkle` (`testdata`), notes of `golang.org/x/mod/sumdb/note`, and heads that the
//! checksum database of Go has signed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parkway_verify::tree::{Hash, Tree, is_consistent, is_included, leaf_hash};
use parkway_verify::{Head, Key, Note};

fn hash(text: &str) -> Hash {
    BASE64_STANDARD.decode(text).unwrap().try_into().unwrap()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| hash(text)).collect()
}

const EIGHT: &str = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=";
const FIVE: &str = "Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ=";
const SIX: &str = "duZ9rbzfHhDht03cYIq9L5jfsW+851J3tSMqEn8gh+8=";
const ONE: &str = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";
const SECOND: &str = "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=";
const THIRD_AND_FOURTH: &str = "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=";
const FIFTH: &str = "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=";
const LAST_TWO: &str = "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=";
const LAST_FOUR: &str = "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=";
const FIRST_FOUR: &str = "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=";
const FIRST_TWO: &str = "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=";

/// Leaf, place, size, root, proof.
type Inclusion = (&'static str, u64, u64, &'static str, &'static [&'static str]);
/// Both sizes, both roots, proof.
type Consistency = (u64, u64, &'static str, &'static str, &'static [&'static str]);

const INCLUSIONS: [Inclusion; 4] = [
    (ONE, 0, 8, EIGHT, &[SECOND, THIRD_AND_FOURTH, LAST_FOUR]),
    ("QnGia+DYqE8L1UyMMC58s6O10fpngKQLzOKHNHfatlg=", 5, 8, EIGHT, &[FIFTH, LAST_TWO, FIRST_FOUR]),
    (
        "ApjRIpBtz8EIkstTpzmS/FufST6kybrbJ7eRtBJ6f+c=",
        2,
        3,
        "rra8/idLcKFPsGel5VeCZNsPqbUa9eC6FZFY8yngbnc=",
        &[FIRST_TWO],
    ),
    (SECOND, 1, 5, FIVE, &[ONE, THIRD_AND_FOURTH, FIFTH]),
];

const CONSISTENCIES: [Consistency; 4] = [
    (1, 8, ONE, EIGHT, &[SECOND, THIRD_AND_FOURTH, LAST_FOUR]),
    (6, 8, SIX, EIGHT, &["DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=", LAST_TWO, FIRST_FOUR]),
    (2, 5, FIRST_TWO, FIVE, &[THIRD_AND_FOURTH, FIFTH]),
    (
        6,
        7,
        SIX,
        "3bib5AOAnjJXUNPSY814kpwpQreUKjS3fhIslZSnTIw=",
        &["DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=", "sIaT7C5yFZcTBkHoIR5+7cy0wmQTlj7ubB4u0W/7Gl8=", FIRST_FOUR],
    ),
];

/// What the vectors make wrong in a proof: each is the proof and must be refused. `known` are hashes that are true somewhere.
fn spoiled(proof: &[Hash], known: &[Hash]) -> Vec<Vec<Hash>> {
    let mut wrong = vec![proof[..proof.len() - 1].to_vec(), proof[1..].to_vec(), Vec::new()];
    for place in 0..=proof.len() {
        for extra in known.iter().copied().chain([[0xab; 32], [0; 32]]) {
            let mut longer = proof.to_vec();
            longer.insert(place, extra);
            wrong.push(longer);
        }
    }
    for place in 0..proof.len() {
        for bit in 0..8_usize {
            let mut changed = proof.to_vec();
            changed[place][bit] ^= 1 << bit;
            wrong.push(changed);
        }
        let mut swapped = proof.to_vec();
        swapped.rotate_left(1);
        if swapped != proof {
            wrong.push(swapped);
        }
    }
    wrong
}

#[test]
fn a_proof_of_the_vectors_is_judged_otherwise_than_they_say() {
    for (leaf, index, size, root, proof) in INCLUSIONS {
        let (leaf, root, proof) = (hash(leaf), hash(root), hashes(proof));
        assert!(is_included(&leaf, index, size, &proof, &root), "leaf {index} of {size}");
        // leafIdx and treeSize changed, the root changed or empty, the leaf wrong.
        let places = (index.wrapping_sub(1), index + 1, index ^ 2);
        for wrong in [places.0, places.1, places.2] {
            assert!(!is_included(&leaf, wrong, size, &proof, &root), "leaf {wrong} of {size} in place of {index}");
        }
        for wrong in [0, size * 2, size / 2, index] {
            assert!(!is_included(&leaf, index, wrong, &proof, &root), "leaf {index} of {wrong} in place of {size}");
        }
        let empty = Tree::default().root();
        for wrong in [empty, [7; 32], leaf] {
            assert!(!is_included(&leaf, index, size, &proof, &wrong));
            assert!(!is_included(&wrong, index, size, &proof, &root) || wrong == leaf);
        }
        for wrong in spoiled(&proof, &[root, leaf]) {
            assert!(!is_included(&leaf, index, size, &wrong, &root), "{wrong:?}");
        }
    }
    for (earlier, size, before, root, proof) in CONSISTENCIES {
        let (before, root, proof) = (hash(before), hash(root), hashes(proof));
        assert!(is_consistent(earlier, &before, size, &root, &proof), "{earlier} in {size}");
        for wrong in [earlier - 1, earlier + 1, earlier ^ 2] {
            assert!(!is_consistent(wrong, &before, size, &root, &proof), "{wrong} in {size}");
        }
        for wrong in [size * 2, size / 2] {
            assert!(!is_consistent(earlier, &before, wrong, &root, &proof), "{earlier} in {wrong}");
        }
        assert!(!is_consistent(earlier, &root, size, &before, &proof), "the roots may be swapped");
        for wrong in [Tree::default().root(), [7; 32]] {
            assert!(!is_consistent(earlier, &wrong, size, &root, &proof));
            assert!(!is_consistent(earlier, &before, size, &wrong, &proof));
        }
        for wrong in spoiled(&proof, &[root, before]) {
            assert!(!is_consistent(earlier, &before, size, &root, &wrong), "{wrong:?}");
        }
    }
}

#[test]
fn a_tree_has_another_root_than_the_vectors() {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.append(leaf_hash(&hex::decode(leaf).unwrap()));
        match tree.size() {
            1 => assert_eq!(tree.root(), hash(ONE)),
            2 => assert_eq!(tree.root(), hash(FIRST_TWO)),
            5 => assert_eq!(tree.root(), hash(FIVE)),
            6 => assert_eq!(tree.root(), hash(SIX)),
            8 => assert_eq!(tree.root(), hash(EIGHT)),
            _ => {}
        }
    }
}

#[test]
fn a_proof_of_nothing_is_taken_for_one() {
    let root = [1; 32];
    assert!(is_consistent(3, &root, 3, &root, &[]));
    assert!(!is_consistent(3, &root, 3, &[2; 32], &[]));
    assert!(!is_consistent(3, &root, 3, &root, &[root]));
    assert!(!is_consistent(0, &root, 3, &root, &[]));
    assert!(!is_consistent(4, &root, 3, &root, &[]));
    assert!(is_included(&root, 0, 1, &[], &root));
    assert!(!is_included(&root, 0, 0, &[], &root));
    assert!(!is_included(&root, u64::MAX, u64::MAX, &[], &root));
}

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const BY_PETER: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const BY_ENOCH: &str =
    "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

#[test]
fn a_note_of_the_vectors_is_judged_otherwise_than_they_say() {
    let (peter, enoch): (Key, Key) = (PETER.parse().unwrap(), ENOCH.parse().unwrap());
    assert_eq!((peter.name(), peter.to_string().as_str()), ("PeterNeumann", PETER));
    let both: Note = format!("{TEXT}\n{BY_PETER}{BY_ENOCH}").parse().unwrap();
    assert_eq!(both.text(), TEXT);
    assert_eq!((both.is_signed_by(&peter), both.is_signed_by(&enoch)), (Ok(true), Ok(true)));
    let one: Note = format!("{TEXT}\n{BY_PETER}").parse().unwrap();
    assert_eq!((one.is_signed_by(&peter), one.is_signed_by(&enoch)), (Ok(true), Ok(false)));
    let other: Note = format!("{}\n{BY_PETER}", TEXT.replace("problem", "Problem")).parse().unwrap();
    assert!(other.is_signed_by(&peter).unwrap_err().contains("is wrong"));
    let (begin, end) = BY_PETER.split_at(60);
    let longer: Note = format!("{TEXT}\n{begin}ABCD{end}").parse().unwrap();
    assert!(longer.is_signed_by(&peter).unwrap_err().contains("67 bytes"));
    for bad in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", BY_PETER.trim_end()),
        format!("\u{1}{TEXT}\n{BY_PETER}"),
        format!("{TEXT}\n{}", BY_PETER.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{BY_PETER}Unexpected line.\n"),
        format!("{TEXT}\n{}", BY_PETER.repeat(101)),
    ] {
        assert!(bad.parse::<Note>().is_err(), "{bad}");
    }
}

#[test]
fn a_mangled_key_is_taken() {
    for start in 0..PETER.len() {
        for end in start + 1..=PETER.len() {
            let part = &PETER[start..end];
            assert_eq!(part.parse::<Key>().is_ok(), part == PETER, "{part}");
        }
    }
    for place in 0..PETER.len() {
        let mut bytes = PETER.as_bytes().to_vec();
        bytes[place] += 1;
        assert!(String::from_utf8(bytes).unwrap().parse::<Key>().is_err(), "byte {place}");
    }
    for bad in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(bad.parse::<Key>().is_err(), "{bad}");
    }
}

#[test]
fn heads_that_were_published_are_not_read() {
    let key: Key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    let heads = [
        "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n\u{2014} sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n",
        "go.sum database tree\n65209736\n5+uGFjx6xBZG8ip1+wi77v+grwbhhukIrxEUS8PXvRo=\n\n\u{2014} sum.golang.org Az3grnbssgK7ubgFX36gVETtNv0U23qxyAhAMai2QUfeGa3nB/akvkMdlUErfcZz7l/R3cVtYspg3dxXABkGZZKdsQ8=\n",
    ];
    for (note, size) in heads.into_iter().zip([6_476_701, 65_209_736]) {
        let head: Head = note.parse().unwrap();
        assert_eq!((head.origin.as_str(), head.size), ("go.sum database tree", size));
        assert_eq!(head.note.is_signed_by(&key), Ok(true));
        let grown = note.replace(&size.to_string(), &(size + 1).to_string());
        assert!(grown.parse::<Head>().unwrap().note.is_signed_by(&key).is_err());
        for (from, to) in
            [("\n6", "\n06"), ("\n6", "\n+6"), ("\n6", "\n-6"), ("=\n\n", "\n\n"), ("go.sum database tree", "")]
        {
            assert!(note.replacen(from, to, 1).parse::<Head>().is_err(), "{from:?} to {to:?}");
        }
    }
}

//! The words of a text that say something.

/// English words that stand in most texts and tell none from another. Those that turn a sentence into its opposite are not among them.
const STOP: [&str; 96] = [
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing", "for", "from", "had", "has", "have",
    "having", "he", "her", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "me",
    "more", "most", "my", "of", "on", "or", "our", "ours", "out", "over", "own", "s", "same", "she", "should", "so",
    "some", "such", "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "to", "too", "up", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why",
    "will", "with", "would", "you", "your",
];

/// The words of a text, in lower case and in order, without the English ones that say nothing. If nothing else is left, all of them.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let all: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let says = |word: &String| STOP.binary_search(&word.as_str()).is_err();
    let telling = all.iter().any(says);
    all.into_iter().filter(move |word| !telling || says(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(STOP.is_sorted(), "a word is looked for in the middle");
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let found: Vec<_> = words("What did Anna NOT buy in the Müller-Shop?").collect();
        assert_eq!(found, ["anna", "not", "buy", "müller", "shop"]);
        assert_eq!(words("to be, or").collect::<Vec<_>>(), ["to", "be", "or"]);
        assert_eq!(words("…").count(), 0);
    }
}

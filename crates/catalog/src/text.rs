//! Texts as searches compare them. Done here and stored, so that both databases agree.

/// Without differences of case: `Straße` and `STRASSE` are the same, as are the sigmas.
///
/// Upper case first: it is what joins letters that have several lower forms.
pub(crate) fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// The words of a text, runs of letters and digits, folded.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(fold)
}

/// All words of a text with a space before and after each, so that ` word ` is found in it exactly if
/// the text has the word.
pub(crate) fn word_list(text: &str) -> String {
    let mut list = String::from(" ");
    for word in words(text) {
        list.push_str(&word);
        list.push(' ');
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_any_case() {
        assert_eq!(word_list("People, CARS;no-2"), " people cars no 2 ");
        assert_eq!(word_list("  ...  "), " ");
        assert_eq!(word_list(""), " ");
    }

    #[test]
    fn folding_joins_letters_that_differ_by_case_only() {
        for (one, other) in [
            ("Stra\u{df}e", "STRASSE"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
    }
}

//! How many a client wants at once.

use crate::Problem;

/// Reads `limit` of a listing's query: `default` if nothing is asked for, and never more than `max`, for whoever asks for more gets
/// what there is on a page.
///
/// # Errors
///
/// What is no positive whole number, by the name of the field.
pub fn page_limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(default);
    };
    let is_positive =
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte != b'0');
    if !is_positive {
        return Err(Problem::bad_request("limit", "must be a positive number"));
    }
    // What is too large for any number is more than there is on a page, too.
    Ok(text.parse().map_or(max, |limit: usize| limit.min(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_what_is_asked_for_up_to_a_page() {
        for (text, expected) in [
            (None, 50),
            (Some("1"), 1),
            (Some("007"), 7),
            (Some("100"), 100),
            (Some("101"), 100),
            (Some("99999999999999999999999999"), 100),
        ] {
            assert_eq!(page_limit(text, 50, 100).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_positive_number_is_refused_by_name() {
        for text in ["", "0", "000", "-1", "+1", "1.5", "ten", " 1", "１"] {
            let problem = page_limit(Some(text), 50, 100).unwrap_err();
            let said = problem.to_string();
            assert!(said.contains("limit: must be"), "{text:?}: {said}");
        }
    }
}

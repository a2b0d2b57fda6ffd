//! Where one is, in words, and requests as commands of a shell.

use serde_json::Value;

/// The title of the view at this path, for the browser's tab and its history.
pub fn title(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let view = match (parts.next(), parts.next()) {
        (None | Some("orders"), None) => "Orders",
        (Some("orders"), Some(id)) => return format!("{id} – Sagaline"),
        (Some("overview"), _) => "Overview",
        (Some("dead-letters"), None) => "Dead letters",
        (Some("dead-letters"), Some(_)) => "Dead letter",
        (Some("stock"), _) => "Stock",
        (Some("audit"), _) => "Audit",
        (Some("new"), _) => "New order",
        _ => return "Sagaline".to_owned(),
    };
    format!("{view} – Sagaline")
}

/// The same request for a shell. Who runs it has a token of their own in `$TOKEN`: none is copied.
pub fn curl(url: &str, body: Option<&Value>) -> String {
    match body {
        None => format!("curl {}", quoted(url)),
        Some(body) => format!(
            "curl -X POST {} -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' -d {}",
            quoted(url),
            quoted(&body.to_string())
        ),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_view_has_a_title_and_an_order_its_id() {
        assert_eq!(title("/"), "Orders – Sagaline");
        assert_eq!(title("/orders/o-1"), "o-1 – Sagaline");
        assert_eq!(title("/dead-letters/abc"), "Dead letter – Sagaline");
        assert_eq!(title("/elsewhere"), "Sagaline");
    }

    #[test]
    fn a_shell_reads_what_was_meant_whatever_is_in_it() {
        assert_eq!(curl("http://h/x?a=1&b", None), "curl 'http://h/x?a=1&b'");
        assert!(
            curl("http://h", Some(&json!({ "note": "it's $HOME" })))
                .ends_with(r#"-d '{"note":"it'\''s $HOME"}'"#)
        );
    }
}

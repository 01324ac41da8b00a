//! The page that explains every reason to people is complete and has no others.

use types::DropReason;

#[test]
fn the_page_documents_every_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/drop-reasons.md");
    let page = std::fs::read_to_string(path).unwrap();
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let known: Vec<String> = DropReason::ALL
        .iter()
        .map(|reason| format!("{} {}", reason.code(), reason.name()))
        .collect();
    assert_eq!(documented, known);
    for entry in page.split("\n## ").skip(1) {
        assert!(entry.contains("**Do:**"), "what to do about {entry}");
    }
}

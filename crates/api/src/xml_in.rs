//! XML that a client sent: a small, strict part of XML 1.0, read into a tree of bounded size.
//!
//! Elements, text, CDATA sections, comments, character references and the five entities of XML itself. A document
//! type, a processing instruction, an entity of the document's own, a prefix, an attribute that declares no
//! namespace: refused. No request of an AWS client has any of them.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::decode::MAX_DEPTH;
use crate::form::is_xml;

/// The most elements of a document. The largest batch of Route 53 has some thousands.
pub(crate) const MAX_ELEMENTS: usize = 50_000;

/// The most attributes of an element.
const MAX_ATTRIBUTES: usize = 8;

/// An element: its name, its text without that of elements in it, and those elements.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) inner: Vec<Element>,
}

/// The root of a document, all of whose elements are of `namespace`, or of none.
///
/// # Errors
/// What is wrong with the document, as a sentence.
pub(crate) fn parse(document: &[u8], namespace: &str) -> Result<Element, String> {
    let text = std::str::from_utf8(document).map_err(|_| "The document is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree {
        namespace,
        open: Vec::new(),
        root: None,
        elements: 0,
    };
    let mut first = true;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => tree.start(&start)?,
            Event::End(_) => tree.end(),
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(name) => {
                let c = match name.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => c,
                    None => entity(&name.into_inner())?,
                };
                tree.text(c.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) => {}
            Event::Decl(declaration) if first => {
                let utf8 = match declaration.encoding() {
                    None => true,
                    Some(Ok(name)) => name.eq_ignore_ascii_case("utf-8"),
                    Some(Err(_)) => false,
                };
                if !utf8 {
                    return Err("The document's encoding is not UTF-8".to_owned());
                }
            }
            Event::Eof => break,
            Event::Empty(_) | Event::Decl(_) => {
                return Err("A declaration stands inside the document".to_owned());
            }
            Event::PI(_) => return Err("Processing instructions are not allowed".to_owned()),
            Event::DocType(_) => return Err("Document types are not allowed".to_owned()),
        }
        first = false;
    }
    if let Some(open) = tree.open.last() {
        return Err(format!(
            "The element {} does not end",
            crate::error::clip(&open.name)
        ));
    }
    tree.root
        .ok_or_else(|| "Premature end of the document".to_owned())
}

fn entity(name: &str) -> Result<char, String> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        other => {
            return Err(format!(
                "The entity {} is not declared",
                crate::error::clip(other)
            ));
        }
    })
}

struct Tree<'n> {
    namespace: &'n str,
    /// Elements that have begun, from the root inwards.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree<'_> {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        self.elements += 1;
        if self.root.is_some() {
            return Err("The document has a second root".to_owned());
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("Elements are nested deeper than {MAX_DEPTH}"));
        }
        if self.elements > MAX_ELEMENTS {
            return Err(format!(
                "The document has more than {MAX_ELEMENTS} elements"
            ));
        }
        let name = start.name().as_ref().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!(
                "The element {} is not expected",
                crate::error::clip(&name)
            ));
        }
        for (number, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let key: &str = attribute.key.as_ref();
            let declares =
                key == "xmlns" && *attribute.value == *self.namespace || key.starts_with("xmlns:");
            if !declares || number == MAX_ATTRIBUTES {
                return Err(format!(
                    "The attribute {} of {name} is not expected",
                    crate::error::clip(key)
                ));
            }
        }
        self.open.push(Element {
            name,
            ..Element::default()
        });
        Ok(())
    }

    fn end(&mut self) {
        let done = self.open.pop();
        match self.open.last_mut() {
            Some(parent) => parent.inner.extend(done),
            None => self.root = done,
        }
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        if !text.chars().all(is_xml) {
            return Err("A character is not allowed in XML 1.0".to_owned());
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("Text is not allowed outside of the root".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: &str = "https://x.example/";

    fn refused(document: &str) -> String {
        parse(document.as_bytes(), SPACE).unwrap_err()
    }

    #[test]
    fn trees() {
        let document = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- x --><a xmlns=\"https://x.example/\" \
                        xmlns:xsi=\"u\">\n <b>1&lt;&#50;<![CDATA[<&]]>&apos;</b><c/></a>\n";
        let root = parse(document.as_bytes(), SPACE).unwrap();
        assert_eq!((root.name.as_str(), root.inner.len()), ("a", 2));
        assert_eq!(root.inner[0].text, "1<2<&'");
        assert_eq!(root.inner[1].name, "c");
    }

    #[test]
    fn what_no_client_sends_is_refused() {
        for bad in [
            "",
            " ",
            "a",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a><b></a></b>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>&x;</a>",
            "<a>&</a>",
            "<a>&#0;</a>",
            "<a>&#x1b;</a>",
            "<a>\u{1}</a>",
            "<?php x?><a/>",
            "<a><?xml version=\"1.0\"?></a>",
            "<?xml version=\"1.0\" encoding=\"latin-1\"?><a/>",
            "<x:a xmlns:x=\"https://x.example/\"/>",
            "<a xmlns=\"https://other.example/\"/>",
            "<a b=\"c\"/>",
            "<a xmlns=\"https://x.example/\" xmlns=\"https://x.example/\"/>",
            "<a",
            "<a b",
            "<![CDATA[x]]><a/>",
        ] {
            assert!(!refused(bad).is_empty(), "{bad}");
        }
        assert!(parse(b"<a>\xff</a>", SPACE).is_err());
    }

    #[test]
    fn documents_are_bounded() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes(), SPACE).is_ok());
        assert!(refused(&nested(MAX_DEPTH + 1)).contains("nested"));
        let wide = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
        assert!(parse(wide(MAX_ELEMENTS - 1).as_bytes(), SPACE).is_ok());
        assert!(refused(&wide(MAX_ELEMENTS)).contains("elements"));
        let attributes = |count: usize| {
            let all: String = (0..count).map(|n| format!(" xmlns:a{n}=\"u\"")).collect();
            format!("<a{all}/>")
        };
        assert!(parse(attributes(MAX_ATTRIBUTES).as_bytes(), SPACE).is_ok());
        assert!(refused(&attributes(MAX_ATTRIBUTES + 1)).contains("attribute"));
    }
}

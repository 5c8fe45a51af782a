//! Writes XML 1.0 without attributes of its own: elements and text, escaped.

use std::fmt::Write as _;

/// A document in one default namespace.
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// A document with this root; `content` writes what is in it.
    pub(super) fn document(root: &str, namespace: &str, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self { text: String::new() };
        let _ = write!(xml.text, "<{root} xmlns=\"{namespace}\">");
        content(&mut xml);
        let _ = write!(xml.text, "</{root}>");
        xml.text
    }

    /// An element with others in it.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.text, "<{name}>");
        content(self);
        let _ = write!(self.text, "</{name}>");
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| text.chars().for_each(|letter| xml.escaped(letter)));
    }

    fn escaped(&mut self, letter: char) {
        match letter {
            '&' => self.text.push_str("&amp;"),
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            // A reader would make them another white space.
            '\r' => self.text.push_str("&#13;"),
            // XML 1.0 has no way to write these.
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
            letter => self.text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> String {
        Xml::document("a", "urn:b", |xml| xml.text("c", text))
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(
            one("<x a=\"1\">&amp;'\r\n\0]]>"),
            "<a xmlns=\"urn:b\"><c>&lt;x a=\"1\"&gt;&amp;amp;'&#13;\n\u{fffd}]]&gt;</c></a>"
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let written = one(&text);
            let document = roxmltree::Document::parse(&written).unwrap();
            let read = document.root_element().first_element_child().unwrap();
            let known = |letter: char| match letter {
                '\t' | '\n' | '\r' => letter,
                '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                letter => letter,
            };
            let expected: String = text.chars().map(known).collect();
            prop_assert_eq!(read.text().unwrap_or_default(), expected);
        }
    }
}

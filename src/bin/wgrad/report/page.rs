//! A page of HTML that needs no other file.

use std::fmt::{Display, Write};

/// The page, part by part.
pub struct Page {
    html: String,
}

impl Page {
    /// A page with this title, which is not escaped yet.
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        let style = include_str!("style.css");
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        );
        Self { html }
    }

    /// Adds HTML.
    pub fn push(&mut self, html: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.html, "{html}");
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        self.push(format_args!("<h2>{}</h2>", escaped(text)));
    }

    /// Adds a paragraph of text.
    pub fn text(&mut self, class: &str, text: &str) {
        self.push(format_args!("<p class=\"{class}\">{}</p>", escaped(text)));
    }

    /// Adds pictures in a grid: for each the words that a screen reader says, and its SVG.
    pub fn pictures(&mut self, class: &str, pictures: impl IntoIterator<Item = (String, String)>) {
        self.push(format_args!("<div class=\"{class}\">"));
        for (words, svg) in pictures {
            let (words, svg) = (escaped(words), svg.trim_end());
            self.push(format_args!(
                "<figure role=\"img\" aria-label=\"{words}\">{svg}</figure>"
            ));
        }
        self.push("</div>");
    }

    /// Adds a table whose cells are HTML.
    pub fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.map(|cell| format!("<{tag}>{cell}</{tag}>"));
            format!("<tr>{}</tr>", cells.collect::<String>())
        };
        self.push("<div class=\"table\"><table><thead>");
        self.push(cells("th", &mut head.iter().copied()));
        self.push("</thead><tbody>");
        for row in rows {
            self.push(cells("td", &mut row.iter().map(String::as_str)));
        }
        self.push("</tbody></table></div>");
    }

    /// The whole page.
    pub fn finish(mut self) -> String {
        self.push("</body>\n</html>");
        self.html
    }
}

/// Text as HTML, also inside quotation marks.
pub fn escaped(text: impl Display) -> String {
    let mut html = String::new();
    for letter in text.to_string().chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

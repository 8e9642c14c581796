//! Slack's markup: escapes, links, bounds.
//!
//! Source: Slack's page "Formatting text for app surfaces": `&`, `<` and `>` are written as entities, a link is
//! `<url|words>`. Slack's page on `chat.postMessage` advises at most 4,000 characters of text.

use std::borrow::Cow;

use serde::Serialize;

/// Bytes of a message after which no further line is added; below Slack's 4,000 characters. The opening sentence is not
/// measured: its parts have bounds that add up to less than half of this.
pub(crate) const TEXT_BYTES_MAX: usize = 3_500;

/// Bytes of a URL that is still made a link. GitHub's own stay well below; a longer one is left out, since a link
/// that was cut leads nowhere.
const URL_BYTES_MAX: usize = 300;

/// The body of Slack's incoming webhooks.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) text: String,
}

/// A message being written. Our own words go in as they are, foreign ones only through [`Writer::foreign`].
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            text: String::with_capacity(512),
        }
    }

    /// Adds our own words.
    pub(crate) fn say(&mut self, words: &str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.say(&number.to_string())
    }

    /// Adds the first line of somebody else's words, escaped and cut after `chars_max` characters as escaped.
    pub(crate) fn foreign(&mut self, words: &str, chars_max: usize) -> &mut Self {
        let line = words.trim_start().lines().next().unwrap_or_default().trim_end();
        let mut chars_left = chars_max;
        for character in line.chars() {
            let entity = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                _ => "",
            };
            let Some(left) = chars_left.checked_sub(entity.len().max(1)) else {
                self.text.push('…');
                break;
            };
            chars_left = left;
            match entity {
                "" => self.text.push(character),
                entity => self.text.push_str(entity),
            }
        }
        self
    }

    /// Adds what `words` writes, as a link where the URL is one that Slack can take.
    pub(crate) fn link(&mut self, url: Option<&str>, words: impl FnOnce(&mut Self)) -> &mut Self {
        let Some(url) = url.and_then(linkable) else {
            words(self);
            return self;
        };
        self.say("<").say(&url).say("|");
        words(self);
        self.say(">")
    }

    /// Adds a line if all of it fits the message; says whether it did.
    pub(crate) fn line_if_it_fits(&mut self, line: impl FnOnce(&mut Self)) -> bool {
        let before = self.text.len();
        self.say("\n");
        line(self);
        let fits = self.text.len() <= TEXT_BYTES_MAX;
        if !fits {
            self.text.truncate(before);
        }
        fits
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The URL as Slack writes it; none if it could end its link early, or is not http or https.
fn linkable(url: &str) -> Option<Cow<'_, str>> {
    let of_the_web = url.starts_with("https://") || url.starts_with("http://");
    if !of_the_web || url.contains(['<', '>', '|', ' ', '\n']) {
        return None;
    }
    let escaped = if url.contains('&') {
        Cow::Owned(url.replace('&', "&amp;"))
    } else {
        Cow::Borrowed(url)
    };
    (escaped.len() <= URL_BYTES_MAX).then_some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn foreign_words_cannot_make_a_mention_or_a_link() {
        let text = written(|writer| {
            writer.foreign("<!channel> & <https://evil.example|click>", 100);
        });
        assert_eq!(text, "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;");
    }

    #[test]
    fn foreign_words_are_one_line_cut_at_a_character() {
        let cases = [
            ("short", "short"),
            ("sixsix", "sixsi…"),
            ("äöüßéñ", "äöüßé…"),
            ("\n one\ntwo", "one"),
            ("", ""),
        ];
        for (words, expected) in cases {
            assert_eq!(
                written(|writer| {
                    writer.foreign(words, 5);
                }),
                expected
            );
        }
    }

    #[test]
    fn a_url_that_would_break_out_of_its_link_is_left_out() {
        let linked = |url: &str| {
            written(|writer| {
                writer.link(Some(url), |writer| {
                    writer.say("words");
                });
            })
        };
        assert_eq!(linked("https://github.com/a?b=1&c=2"), "<https://github.com/a?b=1&amp;c=2|words>");
        for url in ["https://a.example/>|<!channel", "javascript:alert(1)", "https://a b", "#frag"] {
            assert_eq!(linked(url), "words");
        }
        assert_eq!(linked(&format!("https://a.example/{}", "x".repeat(URL_BYTES_MAX))), "words");
    }

    #[test]
    fn a_line_that_does_not_fit_is_left_out_whole() {
        let mut writer = Writer::new();
        assert!(writer.line_if_it_fits(|writer| {
            writer.say(&"x".repeat(TEXT_BYTES_MAX - 1));
        }));
        assert!(!writer.line_if_it_fits(|writer| {
            writer.say("y");
        }));
        assert_eq!(writer.finish().len(), TEXT_BYTES_MAX);
    }
}

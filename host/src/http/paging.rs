//! How a list is cut into pages: by key wherever the contract lets us, by offset where it demands that.
//!
//! Pure: text from a query string in, bounds for the store out. A page by key costs the same however deep it is; one by
//! offset makes the database walk over everything before it, which is why [`OFFSET_MAX`] ends it.

use hookyard_domain::{ContentHash, hex};
use uuid::Uuid;

/// Rows a database may be made to walk over for one page by offset: about a second's work on a cold disk.
const OFFSET_MAX: u64 = 1_000_000;
/// Bytes of a cursor that tell a changed one from ours.
const SEAL_BYTES: usize = 8;

/// Why a page cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The limit is not a whole number, or beyond its bounds where the contract refuses that.
    Limit { max: u32 },
    /// The offset or page number is not a whole number, or too large.
    Offset { max: u64 },
    /// The cursor is not one that this list gave.
    Cursor,
}

/// How many rows a page of a list may have.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub default: u32,
    pub max: u32,
    pub beyond: Beyond,
}

/// What becomes of a limit of 0 or above the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// The nearest limit that is allowed.
    Clamp,
    Refuse,
}

impl Limit {
    /// # Errors
    /// [`Refused::Limit`].
    pub fn read(&self, text: Option<&str>) -> Result<u32, Refused> {
        let Some(text) = text else { return Ok(self.default) };
        let refused = Refused::Limit { max: self.max };
        let wanted: u64 = text.parse().map_err(|_| refused)?;
        match u32::try_from(wanted) {
            Ok(limit) if (1..=self.max).contains(&limit) => Ok(limit),
            _ if self.beyond == Beyond::Refuse => Err(refused),
            Ok(0) => Ok(1),
            _ => Ok(self.max),
        }
    }
}

/// Rows older than a key, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPage {
    /// None begins with the newest.
    pub before: Option<Uuid>,
    pub limit: u32,
}

impl KeyPage {
    /// How many rows to ask the store for: one more than is shown tells whether there is a next page.
    pub const fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// Cuts what [`KeyPage::rows`] brought to the page, and gives the key the next page begins before.
    pub fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return (rows, None);
        }
        rows.truncate(limit);
        let next = rows.last().map(key);
        (rows, next)
    }
}

/// Rows by their place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPage {
    pub offset: u64,
    pub limit: u32,
}

impl OffsetPage {
    /// # Errors
    /// [`Refused::Offset`].
    pub fn at_offset(text: Option<&str>, limit: u32) -> Result<Self, Refused> {
        let offset = text.map_or(Ok(0), |text| text.parse().map_err(|_| BAD_OFFSET))?;
        Self::bounded(Some(offset), limit)
    }

    /// Pages that count from 1.
    ///
    /// # Errors
    /// [`Refused::Offset`].
    pub fn at_number(text: Option<&str>, limit: u32) -> Result<Self, Refused> {
        let number: u64 = text.map_or(Ok(1), |text| text.parse().map_err(|_| BAD_OFFSET))?;
        let before = number.checked_sub(1).ok_or(BAD_OFFSET)?;
        Self::bounded(before.checked_mul(u64::from(limit)), limit)
    }

    fn bounded(offset: Option<u64>, limit: u32) -> Result<Self, Refused> {
        let offset = offset.filter(|offset| *offset <= OFFSET_MAX).ok_or(BAD_OFFSET)?;
        Ok(Self { offset, limit })
    }
}

const BAD_OFFSET: Refused = Refused::Offset { max: OFFSET_MAX };

/// A key as an opaque text. `list` names what is listed, such as the deliveries of one endpoint: a cursor of another list
/// is refused, and so is one that was changed by accident. It keeps no secret and guards nothing: what a page shows is
/// bounded by its scope.
pub fn cursor(list: &str, before: Uuid) -> String {
    let mut bytes = before.as_bytes().to_vec();
    bytes.extend_from_slice(&seal(list, before));
    hex::encode(&bytes)
}

/// # Errors
/// [`Refused::Cursor`].
pub fn read_cursor(list: &str, text: &str) -> Result<Uuid, Refused> {
    let bytes: [u8; 16 + SEAL_BYTES] = hex::decode(text).ok_or(Refused::Cursor)?;
    let before = Uuid::from_slice(&bytes[..16]).map_err(|_| Refused::Cursor)?;
    if bytes[16..] == seal(list, before) {
        Ok(before)
    } else {
        Err(Refused::Cursor)
    }
}

fn seal(list: &str, before: Uuid) -> [u8; SEAL_BYTES] {
    let hash = ContentHash::of(&[before.as_bytes(), list.as_bytes()].concat());
    *hash.as_bytes().first_chunk().expect("a hash is longer than a seal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn limits_have_a_default_and_are_clamped_or_refused() {
        let clamp = Limit {
            default: 20,
            max: 100,
            beyond: Beyond::Clamp,
        };
        for (text, limit) in [
            (None, 20),
            (Some("1"), 1),
            (Some("100"), 100),
            (Some("101"), 100),
            (Some("0"), 1),
            (Some("99999999999"), 100),
        ] {
            assert_eq!(clamp.read(text), Ok(limit), "{text:?}");
        }
        let refuse = Limit {
            beyond: Beyond::Refuse,
            ..clamp
        };
        assert_eq!(refuse.read(Some("100")), Ok(100));
        for text in ["0", "101", "99999999999"] {
            assert_eq!(refuse.read(Some(text)), Err(Refused::Limit { max: 100 }), "{text}");
        }
        for text in ["", "-1", "ten", "1.5", " 1"] {
            assert_eq!(clamp.read(Some(text)), Err(Refused::Limit { max: 100 }), "{text:?}");
        }
    }

    #[test]
    fn a_row_more_than_the_page_means_that_another_follows() {
        let page = KeyPage { before: None, limit: 2 };
        assert_eq!(page.rows(), 3);
        assert_eq!(page.cut(vec![id(9), id(8), id(7)], |id| *id), (vec![id(9), id(8)], Some(id(8))));
        assert_eq!(page.cut(vec![id(9), id(8)], |id| *id), (vec![id(9), id(8)], None));
        assert_eq!(page.cut(Vec::new(), |id: &Uuid| *id), (Vec::new(), None));
    }

    #[test]
    fn offsets_and_page_numbers_come_to_the_same() {
        assert_eq!(OffsetPage::at_offset(None, 10), Ok(OffsetPage { offset: 0, limit: 10 }));
        assert_eq!(OffsetPage::at_number(None, 10), OffsetPage::at_offset(Some("0"), 10));
        assert_eq!(OffsetPage::at_number(Some("3"), 10), OffsetPage::at_offset(Some("20"), 10));
        let refused = Err(Refused::Offset { max: OFFSET_MAX });
        for text in ["0", "-1", "x", "18446744073709551615", "100002"] {
            assert_eq!(OffsetPage::at_number(Some(text), 10), refused, "{text}");
        }
        for text in ["-1", "x", "1000001"] {
            assert_eq!(OffsetPage::at_offset(Some(text), 10), refused, "{text}");
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_only_unchanged() {
        let text = cursor("deliveries of a", id(7));
        assert_eq!(read_cursor("deliveries of a", &text), Ok(id(7)));
        assert_eq!(read_cursor("deliveries of b", &text), Err(Refused::Cursor));
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[position] = if changed[position] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("hex");
            assert_eq!(read_cursor("deliveries of a", &changed), Err(Refused::Cursor), "{position}");
        }
        for bad in ["", "é", "00", &format!("{text}00"), &id(7).to_string()] {
            assert_eq!(read_cursor("deliveries of a", bad), Err(Refused::Cursor), "{bad}");
        }
    }
}

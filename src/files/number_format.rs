//! domain: Numbers in cells as a spreadsheet shows them.
//!
//! A cell keeps a number in binary, and a format beside it that says how people see it: `€#,##0.00`.
//! What is shown goes into texts, and what was never shown must not: neither the noise behind the
//! fifteenth digit nor an amount without its currency.

use calamine::ExcelDateTime;

/// How cells of one style show their numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NumberFormat {
    /// As it comes: at most 15 digits, never with an exponent.
    #[default]
    General,
    /// An instant, shown as ISO 8601.
    Date,
    /// A length of time.
    Duration,
    Sections(Vec<Section>),
}

/// What holds for numbers of one sign, or for those that meet a condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    condition: Option<(Comparison, f64)>,
    pieces: Vec<Piece>,
    /// Digits before the point that are shown even when they are zero.
    min_whole: usize,
    min_decimals: usize,
    max_decimals: usize,
    grouped: bool,
    /// By how many powers of ten it is larger than what is shown: 3 for each comma at the end, -2 for each percent.
    scale: i32,
    /// Its digits are shown at several places, as those of phone numbers are: `000-0000`.
    split: bool,
    /// Something but digits, blanks and signs is shown: a currency, a unit, a percent.
    worded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    Other,
    AtLeast,
    More,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    /// So many digits of the whole part, zeros among them where they are missing (`0`) or not (`#`).
    Digits {
        zeros: usize,
        n: usize,
    },
    Point,
    Decimals,
}

/// Whole numbers from here on may be phone numbers, which separators and decimals would damage.
const MAY_BE_A_PHONE: f64 = 10_000_000.0;

impl NumberFormat {
    /// A format that spreadsheets know by number alone. Those of money stand for the currency of
    /// whoever looks, which nobody knows here, so they have none.
    pub fn built_in(id: u32) -> NumberFormat {
        match id {
            1 => Self::read("0"),
            2 => Self::read("0.00"),
            3 => Self::read("#,##0"),
            4 => Self::read("#,##0.00"),
            5 | 6 | 37 | 38 | 41 | 42 => Self::read("#,##0;(#,##0)"),
            7 | 8 | 39 | 40 | 43 | 44 => Self::read("#,##0.00;(#,##0.00)"),
            9 => Self::read("0%"),
            10 => Self::read("0.00%"),
            14..=22 | 27..=36 | 45 | 47 | 50..=58 => Self::Date,
            46 => Self::Duration,
            _ => Self::General,
        }
    }

    /// Reads the code of a format. One that shows numbers in a way that texts have no use for, such as
    /// fractions and exponents, is as good as none.
    pub fn read(code: &str) -> NumberFormat {
        if let Some(time) = time(code) {
            return time;
        }
        let sections: Option<Vec<Section>> = split_sections(code).iter().take(4).map(|it| Section::read(it)).collect();
        match sections {
            Some(sections) if sections.iter().any(|it| !it.pieces.is_empty()) => Self::Sections(sections),
            _ => Self::General,
        }
    }

    /// A number as this shows it. `is_1904`: the workbook counts its days from 1904 on.
    pub fn shown(&self, value: f64, is_1904: bool) -> String {
        let time = |kind| instant(&ExcelDateTime::new(value, kind, is_1904));
        match self {
            NumberFormat::General => general(value),
            NumberFormat::Date => time(calamine::ExcelDateTimeType::DateTime),
            NumberFormat::Duration => time(calamine::ExcelDateTimeType::TimeDelta),
            NumberFormat::Sections(sections) => shown_by(sections, value),
        }
    }
}

fn shown_by(sections: &[Section], value: f64) -> String {
    let conditional = sections.iter().any(|it| it.condition.is_some());
    let (section, is_minus_said) = if conditional {
        let meets = |it: &&Section| it.condition.is_none_or(|(how, than)| how.holds(value, than));
        (sections.iter().find(meets), false)
    } else {
        match sections {
            [_, negative, ..] if value < 0.0 => (Some(negative), true),
            [_, _, zero, ..] if value == 0.0 => (Some(zero), false),
            [positive, ..] => (Some(positive), false),
            [] => (None, false),
        }
    };
    let Some(section) = section else { return general(value) };
    let damages = !section.worded && !section.split && (section.grouped || section.max_decimals > 0);
    if damages && value.fract() == 0.0 && value.abs() >= MAY_BE_A_PHONE {
        return general(value);
    }
    match section.shown(value.abs()) {
        Some(shown) if value < 0.0 && !is_minus_said && shown.contains(|c| ('1'..='9').contains(&c)) => {
            format!("-{shown}")
        }
        Some(shown) => shown,
        None => general(value),
    }
}

impl Comparison {
    fn holds(self, value: f64, than: f64) -> bool {
        match self {
            Comparison::Less => value < than,
            Comparison::AtMost => value <= than,
            Comparison::Equal => value == than,
            Comparison::Other => value != than,
            Comparison::AtLeast => value >= than,
            Comparison::More => value > than,
        }
    }
}

impl Section {
    /// `None`: numbers are shown as they come.
    fn read(code: &str) -> Option<Section> {
        let mut section = Section::default();
        let mut rest = code.chars().peekable();
        let (mut after_point, mut commas) = (false, 0);
        while let Some(c) = rest.next() {
            match c {
                '"' => {
                    let quoted: String = rest.by_ref().take_while(|c| *c != '"').collect();
                    section.text(&quoted);
                }
                '\\' => section.text(&rest.next().map(String::from).unwrap_or_default()),
                // As wide as the next character, or filled with it.
                '_' => {
                    rest.next();
                    section.text(" ");
                }
                '*' => drop(rest.next()),
                '[' => {
                    let inside: String = rest.by_ref().take_while(|c| *c != ']').collect();
                    section.in_brackets(&inside)?;
                }
                '0' | '#' | '?' => {
                    if commas > 0 && !after_point {
                        section.grouped = true;
                    }
                    commas = 0;
                    if after_point {
                        section.max_decimals += 1;
                        section.min_decimals = if c == '#' { section.min_decimals } else { section.max_decimals };
                        match section.pieces.last() {
                            Some(Piece::Decimals) => {}
                            // Decimals with something between them.
                            _ if section.pieces.contains(&Piece::Decimals) => return None,
                            _ => section.pieces.push(Piece::Decimals),
                        }
                    } else {
                        section.min_whole += usize::from(c == '0');
                        let zero = usize::from(c == '0');
                        match section.pieces.last_mut() {
                            Some(Piece::Digits { zeros, n }) => (*zeros, *n) = (*zeros + zero, *n + 1),
                            _ => {
                                section.split |= section.pieces.iter().any(|it| matches!(it, Piece::Digits { .. }));
                                section.pieces.push(Piece::Digits { zeros: zero, n: 1 });
                            }
                        }
                    }
                }
                '.' if after_point => return None,
                '.' => {
                    after_point = true;
                    section.scale += 3 * std::mem::take(&mut commas);
                    section.pieces.push(Piece::Point);
                }
                ',' => commas += 1,
                '%' => {
                    section.scale -= 2;
                    section.text("%");
                }
                'E' | 'e' if matches!(rest.peek(), Some('+' | '-')) => return None,
                '/' if section.pieces.iter().any(|it| matches!(it, Piece::Digits { .. })) => return None,
                '@' | 'G' | 'g' => return None,
                c => section.text(&c.to_string()),
            }
        }
        section.scale += 3 * commas;
        if section.split && (section.grouped || after_point) {
            return None;
        }
        Some(section)
    }

    /// A colour, a condition, or a currency with a language: `[Red]`, `[>=100]`, `[$€-1809]`.
    fn in_brackets(&mut self, inside: &str) -> Option<()> {
        if let Some(currency) = inside.strip_prefix('$') {
            self.text(currency.split('-').next().unwrap_or_default());
            return Some(());
        }
        let comparisons = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<>", Comparison::Other),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ];
        if let Some((than, how)) = comparisons.iter().find_map(|(sign, how)| Some((inside.strip_prefix(sign)?, *how))) {
            self.condition = Some((how, than.trim().parse().ok()?));
        }
        Some(())
    }

    fn text(&mut self, text: &str) {
        self.worded |= text.chars().any(|c| !" -+()\u{a0}".contains(c));
        match self.pieces.last_mut() {
            Some(Piece::Text(so_far)) => so_far.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// `value` without its sign. `None`: with more digits than there are in it.
    fn shown(&self, value: f64) -> Option<String> {
        let (whole, decimals) = rounded(value, self.scale, self.max_decimals)?;
        let mut shown = String::new();
        let mut whole = format!("{whole:0>width$}", width = self.min_whole);
        if self.min_whole == 0 && whole == "0" {
            whole.clear();
        }
        let mut n_left: usize =
            self.pieces.iter().map(|it| if let Piece::Digits { n, .. } = it { *n } else { 0 }).sum();
        let mut first = true;
        let decimals = {
            let kept = decimals.trim_end_matches('0').len().max(self.min_decimals);
            decimals.get(..kept).unwrap_or_default()
        };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => shown.push_str(text),
                Piece::Digits { n, .. } => {
                    n_left -= n;
                    // The first place takes the digits that no place was kept for.
                    let end = whole.len().saturating_sub(n_left);
                    let start = if std::mem::take(&mut first) { 0 } else { whole.len().saturating_sub(n_left + n) };
                    let digits = whole.get(start..end).unwrap_or_default();
                    if self.grouped { group(digits, &mut shown) } else { shown.push_str(digits) }
                }
                Piece::Point if decimals.is_empty() => {}
                Piece::Point => shown.push('.'),
                Piece::Decimals => shown.push_str(decimals),
            }
        }
        Some(shown.trim().to_owned())
    }
}

fn group(digits: &str, into: &mut String) {
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            into.push(',');
        }
        into.push(digit);
    }
}

/// The digits before and behind the point of `value` divided by ten to the `scale`, rounded as a
/// spreadsheet rounds: from its 15 digits in decimal, half up. `None` for what has no digits.
fn rounded(value: f64, scale: i32, n_decimals: usize) -> Option<(String, String)> {
    if !value.is_finite() || n_decimals > 30 {
        return None;
    }
    let scientific = format!("{value:.14e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    // How many of them stand before the point.
    let mut n_whole = exponent.parse::<i32>().ok()? + 1 - scale;
    while n_whole < 1 {
        digits.insert(0, 0);
        n_whole += 1;
    }
    let n_whole = n_whole as usize;
    let n_kept = n_whole + n_decimals;
    let up = digits.get(n_kept).is_some_and(|digit| *digit >= 5);
    digits.resize(n_kept, 0);
    let mut carry = u8::from(up);
    for digit in digits.iter_mut().rev() {
        *digit += carry;
        carry = *digit / 10;
        *digit %= 10;
    }
    let text: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    let (whole, decimals) = text.split_at_checked(n_whole)?;
    let whole = if carry > 0 { format!("1{whole}") } else { whole.to_owned() };
    let whole = whole.trim_start_matches('0');
    Some((if whole.is_empty() { "0" } else { whole }.to_owned(), decimals.to_owned()))
}

/// A number without a format: at most 15 digits, as a spreadsheet shows, and never an exponent, so
/// that phone numbers survive.
pub fn general(value: f64) -> String {
    // A decimal of 15 digits comes back out of its nearest binary number as it was; `+ 0.0` takes the sign from -0.
    let seen = format!("{value:.14e}").parse().unwrap_or(value) + 0.0;
    seen.to_string()
}

/// Sections are parted by semicolons, but not by those in quotes or brackets.
fn split_sections(code: &str) -> Vec<String> {
    let (mut sections, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in code.chars() {
        let parts = c == ';' && !quoted && !escaped;
        quoted ^= c == '"' && !escaped;
        escaped = !escaped && !quoted && matches!(c, '\\' | '_' | '*');
        if parts {
            sections.push(String::new());
        } else if let Some(section) = sections.last_mut() {
            section.push(c);
        }
    }
    sections
}

/// Whether a format shows instants or lengths of time.
fn time(code: &str) -> Option<NumberFormat> {
    let code = split_sections(code).into_iter().next()?;
    let mut rest = code.chars();
    while let Some(c) = rest.next() {
        match c.to_ascii_lowercase() {
            '"' => rest.by_ref().take_while(|c| *c != '"').for_each(drop),
            '\\' | '_' | '*' => drop(rest.next()),
            '[' => {
                let inside: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let hms = inside.chars().next().map(|c| c.to_ascii_lowercase()).filter(|c| "hms".contains(*c));
                if hms.is_some_and(|first| inside.chars().all(|c| c.to_ascii_lowercase() == first)) {
                    return Some(NumberFormat::Duration);
                }
            }
            // "General" has none of the letters of dates.
            'd' | 'm' | 'y' | 'h' | 's' => return Some(NumberFormat::Date),
            _ => {}
        }
    }
    None
}

/// An instant as ISO 8601, or how long something lasts.
pub fn instant(value: &ExcelDateTime) -> String {
    let days = value.as_f64();
    let seconds = (days * 86_400.0).round();
    if value.is_duration() {
        let sign = if seconds < 0.0 { "-" } else { "" };
        let seconds = seconds.abs() as u64;
        return format!("{sign}{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    let time = match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    if (0.0..1.0).contains(&days) {
        time
    } else if days.fract() == 0.0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02} {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(code: &str, value: f64) -> String {
        NumberFormat::read(code).shown(value, false)
    }

    #[test]
    fn numbers_have_fifteen_digits_and_no_noise() {
        assert_eq!(
            [59.970000000000006, 0.1 + 0.2, 57.699999999999996, 12.5, 1.0, -0.0, -3.25].map(general),
            ["59.97", "0.3", "57.7", "12.5", "1", "0", "-3.25"]
        );
        assert_eq!([353_861_234_567.0, 3.538_612_345_67e11].map(general), ["353861234567", "353861234567"]);
        assert_eq!([123_456_789_012_345.0, 1e20].map(general), ["123456789012345", "100000000000000000000"]);
    }

    #[test]
    fn numbers_look_as_their_format_shows_them() {
        for (code, value, text) in [
            ("General", 34.3, "34.3"),
            ("0", 34.5, "35"),
            ("0.00", 34.3, "34.30"),
            ("0.00", 2.675, "2.68"),
            ("0.00", 0.005, "0.01"),
            ("0.00", 9.999, "10.00"),
            ("0.0#", 1.5, "1.5"),
            ("#.##", 0.5, ".5"),
            ("#,##0", 1_234_567.0, "1,234,567"),
            ("#,##0.00", 1250.0, "1,250.00"),
            ("0.0,", 1250.0, "1.3"),
            ("0%", 0.15, "15%"),
            ("0.0%", 0.1234, "12.3%"),
            ("00000", 123.0, "00123"),
            ("00000", 1_234_567.0, "1234567"),
            ("\"€\"#,##0.00", 34.3, "€34.30"),
            ("[$€-1809]#,##0.00", 1250.0, "€1,250.00"),
            ("#,##0.00\\ [$€-407]", 1250.0, "1,250.00 €"),
            ("[$$-409]#,##0.00", 5.0, "$5.00"),
            ("$#,##0.00;[Red]-$#,##0.00", -5.0, "-$5.00"),
            ("\"€\"#,##0.00", -5.0, "-€5.00"),
            ("#,##0.00;(#,##0.00)", -5.0, "(5.00)"),
            ("0;-0;\"none\"", 0.0, "none"),
            ("_-\"€\"* #,##0.00_-;-\"€\"* #,##0.00_-", 12.0, "€12.00"),
            ("0\" kWh\"", 12.0, "12 kWh"),
            ("0 \"d\"", 12.0, "12 d"),
            ("0", -0.2, "0"),
            ("0.00E+00", 12.5, "12.5"),
            ("# ?/?", 0.5, "0.5"),
            ("@", 12.5, "12.5"),
            ("", 12.5, "12.5"),
        ] {
            assert_eq!(shown(code, value), text, "{value} as {code}");
        }
    }

    #[test]
    fn phone_numbers_keep_all_their_digits() {
        let number = 353_861_234_567.0;
        for code in ["General", "0", "#", "#,##0", "0.00", "#,##0.00", "0.00E+00", "##0.0E+0", "_-* #,##0_-", "@"] {
            assert_eq!(shown(code, number), "353861234567", "{code}");
        }
        assert_eq!(shown("0000000000", 861_234_567.0), "0861234567");
        assert_eq!(shown("\"+\"0", number), "+353861234567");
        assert_eq!(shown("000\\ 000\\ 0000", 861_234_567.0), "086 123 4567");
        let american = "[<=9999999]###\\-####;\\(###\\)\\ ###\\-####";
        assert_eq!(shown(american, 5_550_100.0), "555-0100");
        assert_eq!(shown(american, 2_025_550_100.0), "(202) 555-0100");
    }

    #[test]
    fn formats_that_go_by_number_have_no_currency_of_ours() {
        let built_in = |id, value| NumberFormat::built_in(id).shown(value, false);
        assert_eq!(
            [0, 1, 2, 4, 9, 44, 49].map(|id| built_in(id, 0.5)),
            ["0.5", "1", "0.50", "0.50", "50%", "0.50", "0.5"]
        );
        assert_eq!(built_in(14, 45_943.0), "2025-10-13");
        assert_eq!(built_in(46, 1.5), "36:00:00");
    }

    #[test]
    fn instants_are_told_from_amounts() {
        assert_eq!(shown("dd/mm/yyyy", 45_943.0), "2025-10-13");
        assert_eq!(shown("[$-409]d\\-mmm\\-yy;@", 45_943.375), "2025-10-13 09:00");
        assert_eq!(shown("h:mm AM/PM", 0.75), "18:00");
        assert_eq!(shown("[h]:mm:ss", 1.5), "36:00:00");
        assert_eq!(NumberFormat::read("yyyy-mm-dd").shown(44_481.0, true), "2025-10-13");
        assert_eq!(shown("[Red]0", 1.0), "1");
    }

    proptest! {
        #[test]
        fn any_format_shows_any_number(code in "[0#?.,%;@E+_*\\\\\"\\[\\]$€<>=a-h -]{0,20}", bits in any::<u64>()) {
            let _ = shown(&code, f64::from_bits(bits));
        }
    }
}

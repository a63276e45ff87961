//! The hours in which a contact is sent to, by the clock on the contact's own wall.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use rlibphonenumber::PHONE_NUMBER_UTIL;
use serde_json::{Map, Value};

use super::instant;
use super::zones::{AREAS, COUNTRIES};

/// From a time of day to a later one of the same day, wherever the contact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Hours", into = "Hours")]
pub struct LocalHours {
    from: NaiveTime,
    to: NaiveTime,
}

/// As it is kept, where it could be anything.
#[derive(serde::Serialize, serde::Deserialize)]
struct Hours {
    from: NaiveTime,
    to: NaiveTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The hours must end later on the day than they begin.")]
pub struct EmptyHours;

impl TryFrom<Hours> for LocalHours {
    type Error = EmptyHours;

    fn try_from(Hours { from, to }: Hours) -> Result<LocalHours, EmptyHours> {
        LocalHours::new(from, to)
    }
}

impl From<LocalHours> for Hours {
    fn from(LocalHours { from, to }: LocalHours) -> Hours {
        Hours { from, to }
    }
}

impl LocalHours {
    pub fn new(from: NaiveTime, to: NaiveTime) -> Result<LocalHours, EmptyHours> {
        if from < to { Ok(LocalHours { from, to }) } else { Err(EmptyHours) }
    }

    pub fn from(&self) -> NaiveTime {
        self.from
    }

    pub fn to(&self) -> NaiveTime {
        self.to
    }

    /// Whether it is within the hours in every one of `zones`; in `fallback` when there are none.
    pub fn is_open(&self, zones: &[Tz], fallback: Tz, at: DateTime<Utc>) -> bool {
        either(zones, &fallback).iter().all(|zone| self.covers(at.with_timezone(zone).time()))
    }

    /// The first instant in `[after, before)` that is within the hours in every zone.
    pub fn next_open(
        &self,
        zones: &[Tz],
        fallback: Tz,
        after: DateTime<Utc>,
        before: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let zones = either(zones, &fallback);
        let mut at = after;
        while at < before {
            let open_in_each = zones.iter().fold(at, |at, zone| self.next_open_in(*zone, at));
            if open_in_each == at {
                return Some(at);
            }
            at = open_in_each;
        }
        None
    }

    /// When the first of the zones closes that are open `at`; perhaps a little before,
    /// where clocks are set back in between.
    pub fn closes(&self, zones: &[Tz], fallback: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
        let closes_in = |zone: &Tz| {
            let local = at.with_timezone(zone).naive_local();
            let closes = instant(local.date(), self.to, *zone);
            // In the second pass of a doubled hour the first closing is gone.
            let closes = if at < closes { closes } else { at + (self.to - local.time()) };
            // Set back, a clock may show a time before the opening once more.
            match set_back(*zone, at, closes) {
                Some(change) if !self.covers(change.with_timezone(zone).time()) => change,
                _ => closes,
            }
        };
        either(zones, &fallback).iter().map(closes_in).min().unwrap_or(at)
    }

    fn covers(&self, time: NaiveTime) -> bool {
        self.from <= time && time < self.to
    }

    /// `after` itself when that is within the hours.
    fn next_open_in(&self, zone: Tz, after: DateTime<Utc>) -> DateTime<Utc> {
        let local = after.with_timezone(&zone).naive_local();
        let (date, time) = (local.date(), local.time());
        if self.covers(time) {
            return after;
        }
        if time < self.from {
            let opens = instant(date, self.from, zone);
            // In the second pass of a doubled hour the first opening is gone.
            return if after < opens { opens } else { after + (self.from - time) };
        }
        let opens = date.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, |date| instant(date, self.from, zone));
        // Clocks that are set back may open the hours again on the same day.
        set_back(zone, after, opens).map_or(opens, |again| self.next_open_in(zone, again))
    }
}

/// When clocks in `zone` are set back between two instants of a day or two.
fn set_back(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let ahead = |at: i64| {
        let at = DateTime::from_timestamp(at, 0)?.naive_utc();
        Some(zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
    };
    let (mut before, mut after) = (from.timestamp(), to.timestamp());
    let old = ahead(before)?;
    if ahead(after)? >= old {
        return None;
    }
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if ahead(middle)? == old { before = middle } else { after = middle }
    }
    DateTime::from_timestamp(after, 0)
}

fn either<'a>(zones: &'a [Tz], fallback: &'a Tz) -> &'a [Tz] {
    if zones.is_empty() { std::slice::from_ref(fallback) } else { zones }
}

/// The zones that an international number without its plus may be in.
///
/// Those of its area code where that says something, otherwise all of its
/// country; where even the country is unclear, those of the main country with
/// its calling code. Empty for what is no number of a country.
pub fn zones_of_number(digits: &str) -> &'static [Tz] {
    // An id of the same kind of channel that begins with digits.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return &[];
    }
    of_area(digits).or_else(|| of_country(digits)).unwrap_or_default()
}

fn of_area(digits: &str) -> Option<&'static [Tz]> {
    static AREA: LazyLock<HashMap<u32, &[Tz]>> =
        LazyLock::new(|| AREAS.iter().flat_map(|(codes, zones)| codes.iter().map(|code| (*code, *zones))).collect());
    let known = |length| AREA.get(&digits.get(..length)?.parse().ok()?).copied();
    known(4).or_else(|| known(3))
}

fn of_country(digits: &str) -> Option<&'static [Tz]> {
    let number = PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None).ok()?;
    let region = PHONE_NUMBER_UTIL.get_region_for_number(&number);
    let region = region.or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code))?;
    let code = region.as_region_str();
    let place = COUNTRIES.binary_search_by_key(&code.as_str(), |(country, _)| country).ok()?;
    Some(COUNTRIES[place].1)
}

/// The zone that a contact's own values name, in a field called `time zone`, `timezone` or `tz`.
pub fn own_zone(values: &Map<String, Value>) -> Option<Tz> {
    let names_it = |field: &str| {
        let plain: String = field.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        plain == "timezone" || plain == "tz"
    };
    values.iter().filter(|(field, _)| names_it(field)).find_map(|(_, value)| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use chrono_tz::TZ_VARIANTS;
    use proptest::prelude::*;

    use super::super::window::tests::changes;
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn hours(from: &str, to: &str) -> LocalHours {
        let time = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        LocalHours::new(time(from), time(to)).unwrap()
    }

    #[test]
    fn a_number_tells_its_zones() {
        assert_eq!(zones_of_number("353871234567"), [Tz::Europe__Dublin]);
        assert_eq!(zones_of_number("12125550123"), [Tz::America__New_York]);
        assert_eq!(zones_of_number("18085550123"), [Tz::Pacific__Honolulu]);
        assert_eq!(zones_of_number("12085550123"), [Tz::America__Denver, Tz::America__Los_Angeles]);
        assert_eq!(zones_of_number("16045550123"), [Tz::America__Vancouver]);
        assert_eq!(zones_of_number("18765550123"), [Tz::America__Jamaica]);
        assert_eq!(zones_of_number("5511912345678"), [Tz::America__Sao_Paulo]);
        assert_eq!(zones_of_number("5568912345678"), [Tz::America__Rio_Branco]);
        assert!(
            zones_of_number("61412345678").contains(&Tz::Australia__Perth),
            "a mobile number is from anywhere there"
        );
        assert!(zones_of_number("79161234567").len() > 8);
        assert_eq!(zones_of_number("447400123456"), [Tz::Europe__London]);
    }

    #[test]
    fn where_the_country_is_unclear_it_is_the_main_one() {
        assert!(zones_of_number("18005550123").contains(&Tz::America__New_York), "free of charge, from anywhere");
        assert!(zones_of_number("18005550123").contains(&Tz::Pacific__Honolulu));
        assert_eq!(zones_of_number("440000000000"), [Tz::Europe__London]);
        for nowhere in ["", "0", "999", "80012345678", "hello", "1é2"] {
            assert_eq!(zones_of_number(nowhere), [], "{nowhere}");
        }
    }

    #[test]
    fn every_country_with_numbers_has_its_zones() {
        assert!(COUNTRIES.is_sorted_by(|a, b| a.0 < b.0));
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            let code = region.as_region_str();
            let found = COUNTRIES.binary_search_by_key(&code.as_str(), |(country, _)| country);
            assert!(found.is_ok_and(|place| !COUNTRIES[place].1.is_empty()), "{}", code.as_str());
        }
        let areas: Vec<u32> = AREAS.iter().flat_map(|(codes, _)| codes.iter().copied()).collect();
        let distinct: std::collections::HashSet<_> = areas.iter().collect();
        assert_eq!(distinct.len(), areas.len());
        assert!(areas.len() > 400 && areas.iter().all(|code| (100..10_000).contains(code)));
    }

    #[test]
    fn it_is_open_when_it_is_in_every_zone() {
        let nine_to_eight = hours("09:00", "20:00");
        let usa = zones_of_number("18005550123");
        let open = |zones: &[Tz], at: &str| nine_to_eight.is_open(zones, Tz::Asia__Tokyo, utc(at));
        assert!(open(&[Tz::America__New_York], "2026-07-01T13:00:00Z"));
        assert!(!open(&[Tz::America__New_York], "2026-07-01T12:59:59Z"));
        assert!(!open(&[Tz::America__New_York], "2026-07-02T00:00:00Z"));
        assert!(!open(usa, "2026-07-01T13:00:00Z"), "it is night in Honolulu");
        assert!(open(usa, "2026-07-01T19:00:00Z"));
        assert!(open(&[], "2026-07-01T00:00:00Z"), "nine in Tokyo");
    }

    #[test]
    fn the_next_opening_is_when_the_last_zone_opens() {
        let nine_to_eight = hours("09:00", "20:00");
        let next =
            |zones: &[Tz], after: &str, before: &str| nine_to_eight.next_open(zones, Tz::UTC, utc(after), utc(before));
        let coasts = [Tz::America__New_York, Tz::America__Los_Angeles];
        let week = "2026-07-08T00:00:00Z";
        assert_eq!(next(&coasts, "2026-07-01T13:00:00Z", week), Some(utc("2026-07-01T16:00:00Z")));
        assert_eq!(next(&coasts, "2026-07-01T16:30:00Z", week), Some(utc("2026-07-01T16:30:00Z")));
        assert_eq!(next(&coasts, "2026-07-02T00:00:00Z", week), Some(utc("2026-07-02T16:00:00Z")));
        assert_eq!(next(&coasts, "2026-07-02T00:00:00Z", "2026-07-02T16:00:00Z"), None);
        assert_eq!(next(&[], "2026-07-01T21:00:00Z", week), Some(utc("2026-07-02T09:00:00Z")));
        let never = [Tz::Europe__Dublin, Tz::Pacific__Auckland];
        assert_eq!(hours("09:00", "12:00").next_open(&never, Tz::UTC, utc("2026-07-01T00:00:00Z"), utc(week)), None);
    }

    #[test]
    fn it_closes_when_the_first_zone_closes() {
        let nine_to_eight = hours("09:00", "20:00");
        let closes = |zones: &[Tz], at: &str| nine_to_eight.closes(zones, Tz::UTC, utc(at));
        let coasts = [Tz::America__New_York, Tz::America__Los_Angeles];
        assert_eq!(closes(&coasts, "2026-07-01T19:00:00Z"), utc("2026-07-02T00:00:00Z"));
        assert_eq!(closes(&coasts[1..], "2026-07-01T19:00:00Z"), utc("2026-07-02T03:00:00Z"));
        assert_eq!(closes(&[], "2026-07-01T19:59:59Z"), utc("2026-07-01T20:00:00Z"));
    }

    #[test]
    fn hours_end_later_than_they_begin() {
        let nine = NaiveTime::from_hms_opt(9, 0, 0).unwrap();
        assert_eq!(LocalHours::new(nine, nine), Err(EmptyHours));
        let text = r#"{"from":"09:00:00","to":"20:00:00"}"#;
        assert_eq!(serde_json::from_str::<LocalHours>(text).unwrap(), hours("09:00", "20:00"));
        assert_eq!(serde_json::to_string(&hours("09:00", "20:00")).unwrap(), text);
        assert!(serde_json::from_str::<LocalHours>(r#"{"from":"20:00:00","to":"09:00:00"}"#).is_err());
    }

    #[test]
    fn a_contact_may_name_its_own_zone() {
        let zone = |field: &str, value: &str| own_zone(&Map::from_iter([(field.to_owned(), value.into())]));
        for field in ["Time zone", "time_zone", "TimeZone", "TZ", "timezone"] {
            assert_eq!(zone(field, " Europe/Dublin "), Some(Tz::Europe__Dublin), "{field}");
        }
        assert_eq!(zone("zone", "Europe/Dublin"), None);
        assert_eq!(zone("tz", "Dublin"), None);
    }

    #[test]
    fn hours_inside_a_doubled_one_close_when_the_clock_is_set_back_before_them() {
        // 02:00 becomes 01:00 at 01:00 UTC.
        let (zones, open) = ([Tz::Europe__Guernsey], utc("2026-10-25T00:30:00Z"));
        let closes = |from, to| hours(from, to).closes(&zones, Tz::UTC, open);
        assert_eq!(closes("01:01", "02:00"), utc("2026-10-25T01:00:00Z"), "it shows 01:00 once more");
        assert_eq!(closes("01:30", "02:30"), utc("2026-10-25T01:00:00Z"));
        assert_eq!(closes("00:30", "02:00"), utc("2026-10-25T02:00:00Z"), "open through both");
        assert_eq!(closes("01:00", "01:45"), utc("2026-10-25T00:45:00Z"), "before the change");
        let again = hours("01:30", "02:30").closes(&zones, Tz::UTC, utc("2026-10-25T01:40:00Z"));
        assert_eq!(again, utc("2026-10-25T02:30:00Z"), "in the second pass");
    }

    #[test]
    fn clock_changes_in_every_zone_move_no_opening() {
        let (from, to) = (utc("2020-01-01T00:00:00Z").timestamp(), utc("2030-01-01T00:00:00Z").timestamp());
        let mut tried = 0;
        for zone in TZ_VARIANTS {
            for change in changes(zone, from, to).into_iter().take(4) {
                let change = DateTime::from_timestamp(change, 0).unwrap();
                for hours in [hours("01:10", "02:20"), hours("02:10", "02:50"), hours("00:00", "23:20")] {
                    let starts = change - TimeDelta::hours(4);
                    let ends = starts + TimeDelta::hours(34);
                    // From the end: the first open minute at or after each.
                    let mut expected = None;
                    for minute in (0..34 * 60).rev() {
                        let at = starts + TimeDelta::minutes(minute);
                        if hours.is_open(&[zone], Tz::UTC, at) {
                            expected = Some(at);
                        }
                        if minute % 10 == 0 && minute < 8 * 60 {
                            assert_eq!(hours.next_open(&[zone], Tz::UTC, at, ends), expected, "{zone} {hours:?} {at}");
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert!(tried > 10_000, "{tried}");
    }

    proptest! {
        #[test]
        fn the_next_opening_is_the_first_open_minute(
            zones in prop::collection::vec(prop::sample::select(&TZ_VARIANTS), 1..5),
            from in 0..1439_u32, lasts in 1..1440_u32, starts in 0..3_000_000_i64,
        ) {
            let clock = |minute: u32| NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap();
            let hours = LocalHours::new(clock(from), clock((from + lasts).min(1439))).unwrap();
            let starts = utc("2024-01-01T00:00:00Z") + TimeDelta::minutes(starts);
            let ends = starts + TimeDelta::hours(50);
            let first = (0..50 * 60).map(|minute| starts + TimeDelta::minutes(minute)).find(|at| hours.is_open(&zones, Tz::UTC, *at));
            prop_assert_eq!(hours.next_open(&zones, Tz::UTC, starts, ends), first);
            if let Some(open) = first {
                let closes = hours.closes(&zones, Tz::UTC, open);
                prop_assert!(open < closes);
                let minutes = (closes - open).num_minutes();
                let mut before = (0..minutes).map(|minute| open + TimeDelta::minutes(minute));
                prop_assert!(before.all(|at| hours.is_open(&zones, Tz::UTC, at)));
            }
        }
    }
}

//! What becomes of a run that starts late.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Rate, Window};

use crate::words::words;

words! {
    /// What happens to the sends that were due before a late start.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum LatePolicy {
        /// They leave at once, then it goes on as planned.
        #[default]
        CatchUp = "catch_up" => "Catch up at once",
        /// All contacts are spread over the time that is left.
        Spread = "spread" => "Spread over the time left",
        /// The plan starts now, at its rate; the end may come too early.
        KeepRate = "keep_rate" => "Keep the rate",
    }
}

impl LatePolicy {
    /// What is chosen for a rate until somebody chooses otherwise.
    pub fn default_for(rate: Rate) -> LatePolicy {
        match rate {
            Rate::Fixed(_) => LatePolicy::CatchUp,
            Rate::Auto => LatePolicy::Spread,
        }
    }
}

/// How late a run may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LateLimit {
    #[serde(with = "whole_minutes")]
    pub within: TimeDelta,
    /// What becomes of one that would start later.
    pub then: TooLate,
}

impl LateLimit {
    /// What becomes of a run that would start at `now`. `None`: it starts.
    pub fn judge(&self, window: &Window, now: DateTime<Utc>) -> Option<TooLate> {
        (now - window.starts > self.within).then_some(self.then)
    }
}

words! {
    /// What becomes of a run that would start too late.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum TooLate {
        /// It is not sent.
        Overrun = "overrun" => "Do not send it",
        /// It waits until somebody has decided.
        Ask = "ask" => "Ask me",
    }
}

/// A length of time as a whole number of minutes, from 0.
pub(super) mod whole_minutes {
    use chrono::TimeDelta;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time: &TimeDelta, to: S) -> Result<S::Ok, S::Error> {
        time.num_minutes().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<TimeDelta, D::Error> {
        Ok(TimeDelta::minutes(u32::deserialize(from)?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_come_back() {
        for policy in LatePolicy::ALL {
            assert_eq!(LatePolicy::of_word(policy.word()), Some(policy));
        }
        assert_eq!(LatePolicy::of_word("later"), None);
        assert_eq!(LatePolicy::default(), LatePolicy::CatchUp);
        for then in TooLate::ALL {
            assert_eq!(TooLate::of_word(then.word()), Some(then));
        }
        assert_eq!(TooLate::of_word("later"), None);
    }

    #[test]
    fn a_fixed_rate_catches_up_and_an_auto_rate_spreads() {
        assert_eq!(LatePolicy::default_for(Rate::Fixed(10.0)), LatePolicy::CatchUp);
        assert_eq!(LatePolicy::default_for(Rate::Auto), LatePolicy::Spread);
    }

    #[test]
    fn a_run_may_be_so_late_and_no_later() {
        let nine: DateTime<Utc> = "2026-03-25T09:00:00Z".parse().unwrap();
        let window = Window { starts: nine, ends: nine + TimeDelta::hours(9) };
        let limit = LateLimit { within: TimeDelta::minutes(30), then: TooLate::Ask };
        assert_eq!(limit.judge(&window, nine - TimeDelta::minutes(1)), None);
        assert_eq!(limit.judge(&window, nine + TimeDelta::minutes(30)), None);
        assert_eq!(limit.judge(&window, nine + TimeDelta::seconds(1801)), Some(TooLate::Ask));
    }

    #[test]
    fn a_limit_is_kept_in_whole_minutes() {
        let limit = LateLimit { within: TimeDelta::minutes(90), then: TooLate::Overrun };
        let text = r#"{"within":90,"then":"overrun"}"#;
        assert_eq!(serde_json::to_string(&limit).unwrap(), text);
        assert_eq!(serde_json::from_str::<LateLimit>(text).unwrap(), limit);
        assert!(serde_json::from_str::<LateLimit>(r#"{"within":-1,"then":"ask"}"#).is_err());
    }
}

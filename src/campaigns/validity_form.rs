//! domain: For how long conversations can be continued, as forms ask for it.

use serde::Deserialize;

use crate::campaigns::inbound::Validity;
use crate::web::FieldErrors;

/// As typed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ValidityForm {
    pub validity: String,
    pub validity_unit: String,
}

/// Units and their minutes.
pub const UNITS: [(&str, &str, i32); 3] =
    [("minutes", "minutes", 1), ("hours", "hours", 60), ("days", "days", 24 * 60)];

impl ValidityForm {
    pub fn of(it: Validity) -> Self {
        let minutes = it.minutes();
        let (unit, _, size) = match minutes {
            _ if minutes % (24 * 60) == 0 && 24 * 60 < minutes => UNITS[2],
            _ if minutes % 60 == 0 => UNITS[1],
            _ => UNITS[0],
        };
        ValidityForm { validity: (minutes / size).to_string(), validity_unit: unit.to_owned() }
    }

    pub fn is_in(&self, unit: &str) -> bool {
        self.validity_unit == unit
    }

    pub fn parse(&self, errors: &mut FieldErrors) -> Option<Validity> {
        let unit = UNITS.into_iter().find(|(word, ..)| *word == self.validity_unit);
        let n = self.validity.trim().parse::<i32>().ok();
        let minutes = n.zip(unit).and_then(|(n, (_, _, minutes))| n.checked_mul(minutes));
        let validity = minutes.and_then(Validity::of_minutes);
        if validity.is_none() {
            errors.add("validity", "A whole number: from 1 hour to 90 days.");
        }
        validity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_typed() {
        for (n, unit, minutes) in
            [("24", "hours", 1440), ("2", "days", 2880), ("90", "minutes", 90), ("1", "hours", 60)]
        {
            let form = ValidityForm { validity: n.into(), validity_unit: unit.into() };
            let validity = form.parse(&mut FieldErrors::default()).unwrap();
            assert_eq!((validity.minutes(), ValidityForm::of(validity)), (minutes, form));
        }
        for (n, unit) in [("59", "minutes"), ("91", "days"), ("", "hours"), ("1", "weeks"), ("99999999", "days")] {
            let form = ValidityForm { validity: n.into(), validity_unit: unit.into() };
            let mut errors = FieldErrors::default();
            assert_eq!(form.parse(&mut errors), None);
            assert!(errors.of("validity").is_some(), "{n} {unit}");
        }
    }
}

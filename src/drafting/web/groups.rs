//! How the contacts of a file are split.

use crate::drafting::review::{GroupShare, Groups};
use crate::web::chart::thousands;

/// Values that the page lists; a campaign with more has its groups by another way.
const LISTED: usize = 50;

impl Groups {
    pub fn listed(&self) -> &[GroupShare] {
        &self.groups[..self.groups.len().min(LISTED)]
    }

    pub fn more(&self) -> usize {
        self.groups.len().saturating_sub(LISTED)
    }

    /// Who is not sent to, in a sentence; `None` when everybody is.
    pub fn left_out(&self) -> Option<String> {
        let rows = |n: i64| if n == 1 { "1 row has".to_owned() } else { format!("{} rows have", thousands(n)) };
        let unserved = self.unserved();
        let mut sentences = Vec::new();
        if unserved > 0 {
            let first: Vec<String> = self
                .groups
                .iter()
                .filter(|group| group.served_by.is_empty())
                .map(|group| format!("“{}”", group.value))
                .collect();
            let named = match first.as_slice() {
                few if few.len() <= 3 => few.join(", "),
                many => format!("{} and {} more", many[..3].join(", "), many.len() - 3),
            };
            sentences.push(format!("{} a value that no schedule serves: {named}.", rows(unserved)));
        }
        if self.blank > 0 {
            sentences.push(format!("{} nothing in #{}.", rows(self.blank), self.field));
        }
        (!sentences.is_empty())
            .then(|| format!("{} They are not sent to; their outcome is “no group”.", sentences.join(" ")))
    }

    /// To choose from, with how many contacts each has; `typed` stays choosable.
    pub fn options(&self, typed: &str) -> Vec<(String, String)> {
        let mut options: Vec<_> = self
            .groups
            .iter()
            .map(|group| (group.value.clone(), format!("{} ({})", group.value, thousands(group.n))))
            .collect();
        let known = options.iter_mut().find(|(value, _)| crate::schedules::same_group(value, typed));
        match known {
            // Spelt as the schedule has it, so that the choice finds it.
            Some((value, _)) => value.replace_range(.., typed),
            None if typed.is_empty() => options.insert(0, (String::new(), "Choose one".to_owned())),
            None => options.insert(0, (typed.to_owned(), format!("{typed} (0)"))),
        }
        options
    }
}

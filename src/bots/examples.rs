//! domain: Bots to begin with.

use super::exchange;
use super::steps::Steps;

pub struct Example {
    /// The word in addresses.
    pub word: &'static str,
    pub name: &'static str,
    pub about: &'static str,
    json: &'static str,
}

pub const EXAMPLES: [Example; 4] = [
    Example {
        word: "appointment",
        name: "Appointment reminder",
        about: "Reminds of an appointment, takes a yes or another day, and asks once more without a reply.",
        json: include_str!("examples/appointment.json"),
    },
    Example {
        word: "payment",
        name: "Payment reminder",
        about: "Says what is owed, keeps the day on which it will be paid, and hands over whoever disagrees.",
        json: include_str!("examples/payment.json"),
    },
    Example {
        word: "survey",
        name: "Survey",
        about: "Asks for a number from 1 to 5 and for a reason, and hands unhappy people over.",
        json: include_str!("examples/survey.json"),
    },
    Example {
        word: "front-desk",
        name: "Front desk",
        about: "Meets people who write first: answers what is often asked, takes an order number, hands the rest over.",
        json: include_str!("examples/front-desk.json"),
    },
];

impl Example {
    pub fn of_word(word: &str) -> Option<&'static Example> {
        EXAMPLES.iter().find(|example| example.word == word)
    }

    pub fn steps(&self) -> Steps {
        exchange::read(self.json).map(|exported| exported.steps).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bots::checks::check;

    #[test]
    fn every_example_passes_the_checks() {
        let known = ["name", "date", "time", "balance", "due"].map(str::to_owned);
        for example in EXAMPLES {
            assert!(example.steps().0.len() > 3, "{}", example.name);
            assert_eq!(check(&example.steps(), &known), [], "{}", example.name);
        }
    }
}

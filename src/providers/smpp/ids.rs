//! Names of messages, which answers and receipts may write in two ways.

use crate::words::words;

words! {
    /// How an SMSC writes the names that it gives messages.
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum IdForm {
        #[default]
        AsItIs = "as-it-is" => "The same in the answer and in the receipt",
        HexThenDecimal = "hex-then-decimal" => "Hexadecimal in the answer, decimal in the receipt",
        DecimalThenHex = "decimal-then-hex" => "Decimal in the answer, hexadecimal in the receipt",
    }
}

impl IdForm {
    /// The bases of answers and of receipts.
    fn bases(self) -> Option<(u32, u32)> {
        match self {
            IdForm::AsItIs => None,
            IdForm::HexThenDecimal => Some((16, 10)),
            IdForm::DecimalThenHex => Some((10, 16)),
        }
    }

    /// The name in an answer as receipts are looked up by it.
    pub fn of_answer(self, id: &str) -> String {
        let number = self.bases().and_then(|(answers, _)| number(id, answers));
        number.map_or_else(|| id.to_owned(), |it| self.written(it))
    }

    /// The name in a receipt: that of its text, and that of the field beside it, where there are both. The field mostly
    /// has the form of the answer, but not everywhere.
    pub fn of_receipt(self, in_text: Option<&str>, in_field: Option<&str>) -> Option<String> {
        let first = in_field.or(in_text)?;
        let Some((answers, receipts)) = self.bases() else { return Some(first.to_owned()) };
        let text = in_text.and_then(|id| number(id, receipts));
        let of_field = in_field.and_then(|id| {
            let as_answered = number(id, answers);
            as_answered.filter(|it| text == Some(*it)).or_else(|| number(id, receipts)).or(as_answered)
        });
        let found = of_field.or(text).or_else(|| number(in_text?, answers));
        Some(found.map_or_else(|| first.to_owned(), |it| self.written(it)))
    }

    /// As answers write it.
    fn written(self, number: u128) -> String {
        match self {
            IdForm::HexThenDecimal => format!("{number:X}"),
            IdForm::DecimalThenHex | IdForm::AsItIs => number.to_string(),
        }
    }
}

fn number(text: &str, base: u32) -> Option<u128> {
    let text = text.trim();
    let text = if base == 16 { text.trim_start_matches("0x").trim_start_matches("0X") } else { text };
    // A sign would be read as well.
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u128::from_str_radix(text, base).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_its_receipt_meet_whatever_form_each_has() {
        let meet = |form: IdForm, answer: &str, text: Option<&str>, field: Option<&str>| {
            form.of_receipt(text, field) == Some(form.of_answer(answer))
        };
        let hex = IdForm::HexThenDecimal;
        assert!(meet(hex, "33E95179", Some("0870928761"), None));
        assert!(meet(hex, "33e95179", Some("0870928761"), Some("33E95179")), "the field as the answer");
        assert!(meet(hex, "12345678", Some("305419896"), Some("12345678")), "though it has no letters");
        assert!(meet(hex, "33e95179", Some("0870928761"), Some("870928761")), "the field as the text");
        assert!(meet(hex, "33e95179", None, Some("870928761")));
        assert!(meet(hex, "33e95179", None, Some("33e95179")));
        assert!(meet(hex, "no-number", Some("no-number"), None));
        let decimal = IdForm::DecimalThenHex;
        assert!(meet(decimal, "0870928761", Some("33E95179"), None));
        assert!(meet(decimal, "870928761", Some("33E95179"), Some("870928761")));
        let same = IdForm::AsItIs;
        assert!(meet(same, "18d0e03a", Some("0416342074"), Some("18d0e03a")));
        assert!(meet(same, "007", Some("007"), None) && !meet(same, "7", Some("007"), None));
        assert_eq!(same.of_receipt(None, None), None);
        assert!(meet(hex, &"f".repeat(40), Some(&"f".repeat(40)), None), "longer than a number can be");
    }
}
